//! What works, and what works with a node down.

use contracts::attestation::MIN_BATCH;
use contracts::ids::Domain;

use super::externals::{SSN, report};
use super::network::{Network, node};
use super::owner::{Draft, as_of, enrol, today, trailing, wish};

#[actix_web::test]
async fn a_person_is_enrolled_and_facts_are_attested_with_one_node_down() {
    let mut network = Network::start().await;
    let day = today();
    network
        .payroll
        .put("C-1", report("C-1", "4321", day, day, 62_237));
    let ana = enrol(&network, SSN).await;
    assert_eq!(ana.handles.len(), 8, "two committees of four members each");

    let wishes = [
        wish("identity.person", as_of(day), 0, false),
        wish("identity.birth_date", as_of(day), 0, false),
        wish("identity.birth_date", as_of(day), 1, false),
        wish("identity.medicare", as_of(day), 0, true),
        wish("identity.ssi", as_of(day), 0, false),
    ];
    let draft = Draft::new(&network, &ana, Domain::Identity, &wishes).await;
    let answers = draft.send(&network).await;
    assert_eq!(answers.len(), 4);
    network.stop(4).await;
    let batches = draft.attest(&network, 2).await.unwrap();
    assert_eq!(batches.silent, [node(4)]);
    assert!(batches.unattested.is_empty() && batches.differing.is_empty());
    let [batch] = batches.batches.as_slice() else {
        panic!("one batch")
    };
    assert_eq!(batch.root.statement.size, MIN_BATCH as u64);
    let answer = answers[&node(1)].as_ref().unwrap();
    let observed: Vec<_> = (0..5)
        .map(|at| draft.open(answer, at, &wishes[at]))
        .collect();
    assert_eq!((observed[0].value, observed[0].known), (1, true));
    let born: contracts::units::Day = "1992-07-31".parse().unwrap();
    assert_eq!((observed[1].value, observed[1].sources), (born.number(), 2));
    assert_eq!(
        (observed[3].known, observed[3].sources),
        (false, 0),
        "withheld: nothing read"
    );
    assert_eq!(
        (observed[4].known, observed[4].value),
        (false, 0),
        "no source is configured"
    );
    for (at, observation) in observed.iter().enumerate() {
        assert!(
            draft.verify(&network, &ana, at, observation, &batches),
            "leaf {at}"
        );
    }
    let again = draft.attest(&network, 2).await.unwrap();
    assert_eq!(
        again.batches, batches.batches,
        "asking again gives the same batch"
    );

    let wishes = [wish("income.magi_monthly", trailing(day), 0, false)];
    let draft = Draft::new(&network, &ana, Domain::Income, &wishes).await;
    let answers = draft.send(&network).await;
    let batches = draft.attest(&network, 1).await.unwrap();
    let observation = draft.open(answers[&node(3)].as_ref().unwrap(), 0, &wishes[0]);
    assert_eq!(
        (observation.value, observation.agreeing),
        (61_237, 2),
        "gross minus pre-tax"
    );
    assert!(draft.verify(&network, &ana, 0, &observation, &batches));

    network.stop(3).await;
    let refused = draft.attest(&network, 2).await.unwrap_err();
    let text = refused.to_string();
    assert!(
        text.contains("2 of the 3") && text.contains("silent: 3, 4"),
        "{text}"
    );
}
