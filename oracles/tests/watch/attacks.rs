//! What somebody else, or a node alone, can make of watches: nothing.

use contracts::encoding::Bytes32;
use contracts::ids::Domain;
use oracles::clock::Clock;
use oracles::hpke::NodeKeyPair;
use oracles::http::client;
use oracles::keys::OperatorKey;
use oracles::watch::{SIGNATURE_HEADER, TIMESTAMP_HEADER, WatchKeys, webhook_signature};
use oracles::wire::watch::ChangesRequest;

use crate::externals::{OTHER_SSN, Payroll, SSN, edit, report};
use crate::network::Network;
use crate::owner::{code, enrol, random, today};
use crate::watcher::{
    CHANGE_TABLE, PAYROLL_FEED, SECRET, Watch, ask, changes, count, fact, fresh_nonces, passed,
    registry_feed, send, sign,
};

const STATUS: &str = "identity.medicaid_immigration_status";
const CHANGED: &str = "UPDATE person SET status_code = 'XXX' WHERE person_id = 'P-1';
                       INSERT INTO person_change VALUES ('P-1', 1)";

#[actix_web::test]
async fn attack_grants_forged_replayed_or_over_anothers_handle_are_refused_and_only_the_owner_ends_one()
 {
    let network = Network::start_with_more(&[], &registry_feed(1)).await;
    edit(&network.registry, CHANGE_TABLE).await;
    let ana = enrol(&network, SSN).await;
    let bruno = enrol(&network, OTHER_SSN).await;
    let domain = Domain::Identity;
    let draft = async |days| Watch::draft(&network, &ana, domain, &[STATUS], days).await;

    // Another's handle, whoever signs.
    let watch = Watch::draft(&network, &bruno, domain, &[STATUS], 30).await;
    assert_eq!(code(send(&network, 1, &watch.grant, &ana).await), "handle");
    let mut watch = draft(30).await;
    sign(&mut watch.grant, &bruno.owner.keys[&domain]);
    assert_eq!(
        code(send(&network, 1, &watch.grant, &ana).await),
        "signature"
    );

    // Anything changed after signing.
    let honest = draft(30).await.grant;
    let mut forged = vec![honest.clone(); 4];
    forged[0].expires = forged[0].expires.plus(1).unwrap();
    forged[1].reader = random().into();
    forged[2].watch = random().into();
    forged[3].facts = vec![fact("identity.birth_date")];
    for grant in &forged {
        assert_eq!(code(send(&network, 1, grant, &ana).await), "signature");
    }

    // Signed by the owner, but more than a watch may be.
    let secret = &ana.owner.keys[&domain];
    for days in [-1, 367] {
        let grant = draft(days).await.grant;
        assert_eq!(code(send(&network, 1, &grant, &ana).await), "bad-request");
    }
    let mut wide = vec![honest.clone(); 4];
    wide[0].facts = Vec::new();
    wide[1].facts = vec![fact(STATUS), fact(STATUS)];
    wide[2].facts = vec![fact("income.magi_monthly")];
    wide[3].facts[0].days = 30;
    for grant in &mut wide {
        sign(grant, secret);
        assert_eq!(code(send(&network, 1, grant, &ana).await), "bad-request");
    }

    // Replayed, also after the watch has ended; under a nonce for something else; for another node.
    let watch = draft(30).await;
    send(&network, 1, &watch.grant, &ana).await.unwrap();
    assert_eq!(
        code(send(&network, 1, &watch.grant, &ana).await),
        "stale-nonce"
    );
    assert_eq!(code(watch.revoke(&network, 1, &bruno).await), "not-found");
    watch.revoke(&network, 1, &ana).await.unwrap();
    assert_eq!(code(watch.revoke(&network, 1, &ana).await), "not-found");
    assert_eq!(
        code(send(&network, 1, &watch.grant, &ana).await),
        "stale-nonce"
    );
    let mut moved = draft(30).await.grant;
    moved.nonces = honest.nonces.clone();
    sign(&mut moved, secret);
    assert_eq!(code(send(&network, 1, &moved, &ana).await), "stale-nonce");

    // An id in use, by its owner and by another.
    let mut watch = draft(30).await;
    send(&network, 1, &watch.grant, &ana).await.unwrap();
    fresh_nonces(&network, &mut watch.grant).await;
    sign(&mut watch.grant, secret);
    send(&network, 1, &watch.grant, &ana).await.unwrap();
    let mut taken = Watch::draft(&network, &bruno, domain, &[STATUS], 30)
        .await
        .grant;
    taken.watch = watch.grant.watch;
    fresh_nonces(&network, &mut taken).await;
    sign(&mut taken, &bruno.owner.keys[&domain]);
    assert_eq!(code(send(&network, 1, &taken, &bruno).await), "watch");

    // What is revoked tells nothing any more; what is not, only to its reader.
    edit(&network.registry, CHANGED).await;
    passed(&network, 1).await;
    let told = changes(&network, 1, domain, &watch.reader, 0)
        .await
        .unwrap();
    assert_eq!(told.notices.len(), 1);
    let nobody = changes(&network, 1, domain, &random(), 0).await.unwrap();
    assert!(nobody.notices.is_empty());
    let response = NodeKeyPair::generate();
    let mut request = ChangesRequest {
        version: 1,
        reader: watch.grant.reader,
        after: 0,
        at: Clock::system().now(),
        response_key: *response.public(),
        signature: watch.grant.signature,
    };
    let forged = ask(&network, 1, domain, &request, &response).await;
    assert_eq!(code(forged), "signature");
    request.at.0 -= 301;
    let message = request.message(domain, network.configs[0].id);
    let secret = &watch.reader;
    request.signature = contracts::bip340::sign(secret, &message, &mut rand_core::OsRng).unwrap();
    let stale = ask(&network, 1, domain, &request, &response).await;
    assert_eq!(code(stale), "bad-request");
    watch.revoke(&network, 1, &ana).await.unwrap();
    let told = changes(&network, 1, domain, &watch.reader, 0)
        .await
        .unwrap();
    assert!(told.notices.is_empty());
}

#[actix_web::test]
async fn attack_one_lying_node_makes_no_change_and_hides_none() {
    let lie = Payroll::start().await;
    let day = today();
    lie.put("C-1", report("C-1", "4321", day, day, 62_237));
    let network = Network::start_with_more(&[(3, &lie)], &format!("[watch]{PAYROLL_FEED}")).await;
    network
        .payroll
        .put("C-1", report("C-1", "4321", day, day, 62_237));
    let ana = enrol(&network, SSN).await;
    let attributes = ["income.magi_monthly"];
    let mut watch = Watch::start(&network, &ana, Domain::Income, &attributes, 30).await;
    for (lies, gross) in [(1, 70_000), (2, 80_000), (3, 90_000)] {
        lie.put("C-1", report("C-1", "4321", day, day, gross));
        while watch.told(&network, 3).await < lies {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        assert!(watch.poll(&network).await.is_empty(), "one node alone");
    }
    network
        .payroll
        .put("C-1", report("C-1", "4321", day, day, 75_000));
    assert_eq!(watch.wait(&network).await, attributes);
    let after: Vec<_> = [1, 2, 4]
        .map(|node| watch.tally.after(crate::network::node(node)))
        .into();
    assert!(
        after.iter().filter(|seq| **seq == 1).count() >= 2,
        "honest nodes tell it too"
    );
}

#[actix_web::test]
async fn attack_webhooks_forged_or_replayed_pull_nothing_and_a_signed_one_pulls_its_feed_forward() {
    let network = Network::start_with_more(&[], &registry_feed(86_400)).await;
    edit(&network.registry, CHANGE_TABLE).await;
    let ana = enrol(&network, SSN).await;
    let mut watch = Watch::start(&network, &ana, Domain::Identity, &[STATUS], 30).await;
    // What is read again after a grant is over.
    for node in 1..=4 {
        settled(&network, node).await;
    }
    edit(&network.registry, CHANGED).await;
    let now = Clock::system().now().0.to_string();
    let knock = async |node: usize, tag: &str| {
        let url = format!("{}/v1/feed/registry", network.configs[0].peers[node].url);
        let call = client()
            .post(url)
            .header(TIMESTAMP_HEADER, &now)
            .header(SIGNATURE_HEADER, tag)
            .body("{}");
        call.send().await.unwrap().status().as_u16()
    };
    let good = webhook_signature(SECRET, &now, b"{}");
    for node in 0..4 {
        assert_eq!(
            knock(node, &webhook_signature("another", &now, b"{}")).await,
            403
        );
    }
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert!(watch.poll(&network).await.is_empty());
    for node in 0..4 {
        assert_eq!(knock(node, &good).await, 202);
        assert_eq!(knock(node, &good).await, 403, "replayed");
    }
    assert_eq!(watch.wait(&network).await, [STATUS]);
}

/// Waits until a node has read again what it read for the grant.
async fn settled(network: &Network, node: u16) {
    let open = "SELECT COUNT(*) FROM watch_fact WHERE retry_at IS NOT NULL";
    while count(network, node, open).await > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

#[actix_web::test]
async fn attack_a_stolen_database_holds_no_value_and_no_key() {
    let mut network = Network::start_with_more(&[], &registry_feed(1)).await;
    edit(&network.registry, CHANGE_TABLE).await;
    let ana = enrol(&network, SSN).await;
    let attributes = ["identity.birth_date", STATUS];
    let mut watch = Watch::start(&network, &ana, Domain::Identity, &attributes, 30).await;
    edit(&network.registry, CHANGED).await;
    assert_eq!(watch.wait(&network).await, [STATUS]);
    let folder = network.folder.path().join("1");
    let operator = OperatorKey::load(&folder.join("operator.key")).unwrap();
    network.stop(1).await;
    let mut stolen = Vec::new();
    for file in ["node.db", "node.db-wal"] {
        stolen.extend(std::fs::read(folder.join(file)).unwrap_or_default());
    }
    let held = |needle: &[u8]| stolen.windows(needle.len()).any(|it| it == needle);
    assert!(
        held(watch.grant.watch.to_string().as_bytes()),
        "the watch is in it"
    );
    let key = ana.owner.key(Domain::Identity);
    let born: contracts::units::Day = "1992-07-31".parse().unwrap();
    let texts = [
        SSN.to_owned(),
        "987-65-4321".to_owned(),
        "1992-07-31".to_owned(),
        "\"person_id\"".to_owned(),
        "Quillavera".to_owned(),
    ];
    for text in texts {
        assert!(!held(text.as_bytes()), "{text}");
    }
    // The owner's key stands in the database by a keyed hash only, under this module's tables.
    let ours = WatchKeys::new(&operator);
    let thief = OperatorKey::create(&network.folder.path().join("thief.key")).unwrap();
    let theirs = WatchKeys::new(&thief);
    let birth = fact("identity.birth_date");
    let digest = |keys: &WatchKeys| keys.value(&watch.grant.watch, &birth, Some(born.number()));
    let stands = |digest: Bytes32| held(digest.to_string().as_bytes());
    assert!(stands(digest(&ours)) && !stands(digest(&theirs)));
    assert!(stands(ours.owner(&key)) && !stands(theirs.owner(&key)));
    let person = |keys: &WatchKeys| keys.person("registry", "person_id", "P-1");
    assert!(stands(person(&ours)) && !stands(person(&theirs)));
    assert!(!held(
        born.number().to_string().as_bytes().repeat(2).as_slice()
    ));
}
