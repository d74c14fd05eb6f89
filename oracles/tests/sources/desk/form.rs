//! Pages and what a browser sends to them.

use super::*;

#[actix_web::test]
async fn a_fault_is_named_beside_its_field_and_nothing_typed_is_lost() {
    let (folder, staff) = (tempfile::tempdir().unwrap(), Staff::new());
    let (running, browser) = desk(&staff, folder.path()).await;
    let tomorrow = today().plus(1).unwrap();
    let (status, page) = browser
        .enter(BLOOD_PRESSURE, "other", "12.5", tomorrow, &staff.clinician)
        .await;
    assert_eq!(status, 422);
    for part in [
        "<title>Error: ",
        "role=\"alert\"",
        "href=\"#kind\"",
        "href=\"#value\"",
        "Write it as a whole number.",
        "Write today or a day before it.",
        "aria-describedby=\"value-hint value-fault\"",
        "value=\"12.5\"",
        "A-&lt;1&gt;&amp;&quot;",
    ] {
        assert!(page.contains(part), "{part} in {page}");
    }
    assert!(!page.contains(MRN), "a record number is never markup");
    let cases = [
        (BLOOD_PRESSURE, "9999999", "more or less than can be"),
        ("medical.asthma", "maybe", "Write it as 0 or 1"),
        ("income.magi_monthly", "612.375", "Write it as dollars"),
    ];
    for (attribute, value, fix) in cases {
        let (status, page) = browser
            .enter(attribute, "observation", value, today(), &staff.clinician)
            .await;
        assert!(status == 422 && page.contains(fix), "{attribute}: {page}");
    }
    let day = today().to_string();
    let sent = [
        ("kind", "observation"),
        ("key_value", "A\u{0}1"),
        ("value", "120"),
        ("observed", day.as_str()),
    ];
    let form = format!("/form/{BLOOD_PRESSURE}");
    let (status, page) = browser.post(&form, &sent).await;
    assert!(
        status == 422 && page.contains("href=\"#key_value\""),
        "{page}"
    );
    let key = staff.clinician.text();
    let sent = [
        ("once", "stale"),
        ("kind", "observation"),
        ("key_value", "A1"),
        ("value", "120"),
        ("observed", day.as_str()),
        ("staff_key", key.as_str()),
    ];
    let (status, page) = browser.post(&format!("{form}/sign"), &sent).await;
    assert!(
        status == 422 && page.contains("This form is too old"),
        "{page}"
    );
    let (status, _) = browser.get("/form/medical.nothing").await;
    assert_eq!(status, 404);
    let long = "x".repeat(20_000);
    let (status, problem) = browser
        .post(&format!("/form/{BLOOD_PRESSURE}"), &[("value", &long)])
        .await;
    assert!(
        (400..500).contains(&status) && !problem.contains("xxxx"),
        "{status}"
    );
    running.drain().await;
}

#[actix_web::test]
async fn a_form_without_faults_has_a_label_for_every_field() {
    let (folder, staff) = (tempfile::tempdir().unwrap(), Staff::new());
    let (running, browser) = desk(&staff, folder.path()).await;
    let (_, page) = browser.get(&format!("/form/{BLOOD_PRESSURE}")).await;
    let ids = |marker: &str| -> Vec<String> {
        let parts = page.split(marker).skip(1);
        parts
            .map(|part| part.split('"').next().unwrap().to_owned())
            .collect()
    };
    let labels = ids("label for=\"");
    for input in page
        .split("<input")
        .skip(1)
        .filter(|input| !input.contains("type=\"hidden\""))
    {
        let id = input
            .split("id=\"")
            .nth(1)
            .unwrap()
            .split('"')
            .next()
            .unwrap();
        assert!(labels.contains(&id.to_owned()), "{id} has no label");
    }
    assert!(page.contains("<html lang=\"en\">") && !page.contains("<script"));
    let answer = browser.http.get(&browser.url).send().await.unwrap();
    let policy = answer.headers()["content-security-policy"]
        .to_str()
        .unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
    assert_eq!(answer.headers()["cache-control"], "no-store");
    running.drain().await;
}

#[actix_web::test]
async fn attack_a_key_that_is_nobodys_or_of_another_role_signs_nothing() {
    let (folder, staff) = (tempfile::tempdir().unwrap(), Staff::new());
    let (running, browser) = desk(&staff, folder.path()).await;
    let stranger = StaffKey::generate();
    let tries = [
        (
            "observation",
            &stranger,
            "This desk does not know that key.",
        ),
        (
            "observation",
            &staff.caseworker,
            "A caseworker may not make this entry",
        ),
        (
            "review",
            &staff.clinician,
            "A clinician may not make this entry",
        ),
    ];
    for (kind, key, fix) in tries {
        let (status, page) = browser
            .enter(BLOOD_PRESSURE, kind, "151", today(), key)
            .await;
        assert!(status == 422 && page.contains(fix), "{page}");
        assert!(
            !page.contains(key.text().as_str()),
            "a key is not sent back"
        );
    }
    assert_eq!(
        read(source(&staff, browser.url.clone()), false).await,
        [Ok(None)]
    );
    running.drain().await;
}

#[actix_web::test]
async fn attack_a_form_sent_twice_makes_one_entry_and_sent_again_with_another_value_none() {
    let (folder, staff) = (tempfile::tempdir().unwrap(), Staff::new());
    let (running, browser) = desk(&staff, folder.path()).await;
    let (once, day, key) = (
        browser.once(BLOOD_PRESSURE).await,
        today().to_string(),
        staff.clinician.text(),
    );
    let send = async |value: &str| {
        let fields = [
            ("once", once.as_str()),
            ("kind", "observation"),
            ("key_value", MRN),
            ("value", value),
            ("observed", &day),
            ("staff_key", key.as_str()),
        ];
        browser
            .post(&format!("/form/{BLOOD_PRESSURE}/sign"), &fields)
            .await
    };
    let (first, again) = futures::join!(send("151"), send("151"));
    assert_eq!((first.0, &first.1), (200, &again.1));
    let (status, page) = send("110").await;
    assert!(
        status == 422 && page.contains("sent before with something else"),
        "{page}"
    );
    assert_eq!(
        read(source(&staff, browser.url.clone()), false).await,
        [Ok(Some(151))]
    );
    running.drain().await;
}

#[actix_web::test]
async fn attack_entries_are_told_to_nobody_without_a_readers_key() {
    let (folder, staff) = (tempfile::tempdir().unwrap(), Staff::new());
    let (running, browser) = desk(&staff, folder.path()).await;
    let question = Question {
        key_name: "mrn".into(),
        key_value: MRN.into(),
        attribute: BLOOD_PRESSURE.into(),
    };
    let ask = async |key: Option<&str>| {
        let call = browser
            .http
            .post(format!("{}/v1/entries", browser.url))
            .json(&question);
        let call = match key {
            Some(key) => call.bearer_auth(key),
            None => call,
        };
        call.send().await.unwrap().status().as_u16()
    };
    assert_eq!(ask(Some(READER)).await, 200);
    for wrong in [None, Some(""), Some("node-2-reads")] {
        assert_eq!(ask(wrong).await, 401, "{wrong:?}");
    }
    running.drain().await;
}
