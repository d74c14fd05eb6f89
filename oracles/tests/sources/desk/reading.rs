//! What a node makes of entries, and of a desk that lies.

use super::*;

#[actix_web::test]
async fn what_a_clinician_signs_is_what_a_node_reads() {
    let (folder, staff) = (tempfile::tempdir().unwrap(), Staff::new());
    let (running, browser) = desk(&staff, folder.path()).await;
    let url = browser.url.clone();
    let said = async || read(source(&staff, url.clone()), false).await.remove(0);
    assert_eq!(said().await, Ok(None), "nothing is entered");
    let enter = async |value: &str, ago: i64| {
        let day = today().plus(-ago).unwrap();
        browser
            .enter(BLOOD_PRESSURE, "observation", value, day, &staff.clinician)
            .await
    };
    let (status, page) = enter("151", 2).await;
    assert_eq!(status, 200, "{page}");
    assert!(
        page.contains("Entered as number 1, signed as clinician"),
        "{page}"
    );
    assert_eq!(said().await, Ok(Some(151)));
    enter("139", 3).await;
    assert_eq!(
        said().await,
        Ok(Some(151)),
        "an earlier day does not count for more"
    );
    enter("141", 2).await;
    assert_eq!(
        said().await,
        Ok(Some(141)),
        "the correction of the same day does"
    );
    enter("", 2).await;
    assert_eq!(said().await, Ok(None), "withdrawn");
    running.drain().await;
}

#[actix_web::test]
async fn the_outcome_of_a_review_stands_in_place_of_the_sources() {
    let (folder, staff) = (tempfile::tempdir().unwrap(), Staff::new());
    let (running, browser) = desk(&staff, folder.path()).await;
    let url = browser.url.clone();
    let said = async || read(source(&staff, url.clone()), true).await;
    browser
        .enter(
            BLOOD_PRESSURE,
            "observation",
            "151",
            today(),
            &staff.clinician,
        )
        .await;
    assert_eq!(said().await, [Ok(Some(151))]);
    let (status, page) = browser
        .enter(BLOOD_PRESSURE, "review", "128", today(), &staff.caseworker)
        .await;
    assert_eq!(status, 200, "{page}");
    assert_eq!(said().await, [Ok(Some(128))]);
    browser
        .enter(BLOOD_PRESSURE, "review", "", today(), &staff.caseworker)
        .await;
    let formula = catalogue().get(&BLOOD_PRESSURE.into()).unwrap().formula;
    assert_eq!(
        agree(formula, &said().await).value,
        None,
        "found to be unknowable"
    );
    running.drain().await;
    let gone = said().await;
    assert!(
        matches!(gone.as_slice(), [Err(SourceError::Unavailable { .. })]),
        "{gone:?}: not the old value"
    );
}

fn stated(value: i64, number: u64) -> Statement {
    Statement {
        desk: DESK.into(),
        number,
        role: "clinician".into(),
        kind: EntryKind::Observation,
        key_name: "mrn".into(),
        key_value: MRN.into(),
        attribute: BLOOD_PRESSURE.into(),
        value: Some(value),
        observed: today(),
        recorded: UnixTime(1_795_000_000),
    }
}

/// What a node makes of a desk that answers with these entries.
async fn told(staff: &Staff, entries: Vec<Entry>) -> Reading {
    let answer = Answer { entries };
    let url = serve(move |_| HttpResponse::Ok().json(&answer));
    read(source(staff, url), false).await.remove(0)
}

#[actix_web::test]
async fn attack_a_lying_desk_makes_no_fact() {
    let staff = Staff::new();
    let signed = |statement: Statement| statement.sign(&staff.clinician);
    let honest = signed(stated(151, 1));
    assert_eq!(told(&staff, vec![honest.clone()]).await, Ok(Some(151)));

    let mut edited = honest.clone();
    edited.statement.value = Some(110);
    let malformed = |reading: Reading| matches!(reading, Err(SourceError::Malformed { .. }));
    assert!(
        malformed(told(&staff, vec![edited]).await),
        "an edited value"
    );
    let other = signed(Statement {
        desk: "Hillside".into(),
        ..stated(110, 2)
    });
    assert!(malformed(told(&staff, vec![other]).await), "another desk's");
    let other = signed(Statement {
        attribute: "medical.asthma".into(),
        ..stated(1, 2)
    });
    assert!(
        malformed(told(&staff, vec![other]).await),
        "another attribute's"
    );
    let other = signed(Statement {
        key_value: "B2".into(),
        ..stated(110, 2)
    });
    let reading = told(&staff, vec![other]).await;
    assert!(
        matches!(reading, Err(SourceError::WrongPerson { .. })),
        "a neighbour's"
    );
    let twice = vec![honest.clone(), signed(stated(110, 1))];
    assert!(
        matches!(
            told(&staff, twice).await,
            Err(SourceError::Ambiguous { .. })
        ),
        "one number for two"
    );

    let own = StaffKey::generate();
    let made_up = stated(110, 9).sign(&own);
    assert_eq!(
        told(&staff, vec![made_up, honest.clone()]).await,
        Ok(Some(151)),
        "a key that no node knows"
    );
    let usurped = stated(110, 9).sign(&staff.caseworker);
    assert_eq!(
        told(&staff, vec![usurped, honest.clone()]).await,
        Ok(Some(151)),
        "a role that is another's"
    );
    let review = signed(Statement {
        kind: EntryKind::Review,
        ..stated(110, 9)
    });
    assert_eq!(
        told(&staff, vec![review, honest.clone()]).await,
        Ok(Some(151)),
        "no review by a clinician"
    );
    let day = |day: i64| today().plus(day).unwrap();
    for outside in [-31, 1] {
        let outside = signed(Statement {
            observed: day(outside),
            ..stated(110, 9)
        });
        assert_eq!(
            told(&staff, vec![outside, honest.clone()]).await,
            Ok(Some(151)),
            "out of time"
        );
    }
    let many = (1..=201)
        .map(|number| signed(stated(151, number)))
        .collect();
    let reading = told(&staff, many).await;
    assert!(
        matches!(reading, Err(SourceError::TooLarge { .. })),
        "{reading:?}"
    );
    let url = serve(|_| HttpResponse::Ok().body(r#"{"entries":[],"more":1}"#));
    assert!(
        malformed(read(source(&staff, url), false).await.remove(0)),
        "an unknown field"
    );
    let url = serve(|_| {
        std::thread::sleep(Duration::from_secs(3));
        HttpResponse::Ok().finish()
    });
    let SourceConfig::Desk(slow) = source(&staff, url) else {
        unreachable!()
    };
    let slow = SourceConfig::Desk(DeskSourceConfig {
        limits: hasty(),
        ..slow
    });
    assert!(matches!(
        read(slow, false).await.remove(0),
        Err(SourceError::TimedOut { .. })
    ));
}

#[actix_web::test]
async fn a_mapping_that_nobody_can_fill_is_refused_at_start() {
    let staff = Staff::new();
    let opened = |read: DeskRead, review: Option<DeskRead>| {
        let attribute = AttributeConfig {
            id: BLOOD_PRESSURE.into(),
            read: vec![oracles::sources::ReadConfig::Desk(read)],
            review,
        };
        let sources = Sources::new(&[source(&staff, "http://127.0.0.1:1".into())], &[attribute]);
        sources
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default()
    };
    assert_eq!(
        opened(mapping("clinician"), Some(mapping("caseworker"))),
        ""
    );
    insta::assert_snapshot!([
        opened(mapping("nurse"), None),
        opened(DeskRead { roles: vec![], ..mapping("nurse") }, None),
        opened(mapping("clinician"), Some(mapping("judge"))),
        opened(mapping("clinician"), Some(DeskRead { source: "none".into(), ..mapping("caseworker") })),
    ].join("\n"), @r"
    attribute medical.systolic_mmhg, read 1: nobody of the source has the role nurse: add [[source.staff]] with it
    attribute medical.systolic_mmhg, read 1: nobody's entries count: name roles
    attribute medical.systolic_mmhg, review: nobody of the source has the role judge: add [[source.staff]] with it
    attribute medical.systolic_mmhg, review: the source is no desk: name a [[source]] of kind desk
    ");
}
