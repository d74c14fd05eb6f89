//! Tokens that stop being true, and who may say so.

use std::time::{Duration, Instant};

use contracts::bip340;
use contracts::ids::Verdict;
use contracts::jwk::JwkSet;
use contracts::revocation::{Revocation, withdrawal_message};
use contracts::status::{Status, status_of};
use contracts::token::Claims;
use oracles::http::{HttpError, get_json};
use oracles::wire::decision::{DecideAnswer, RevokeAnswer};
use rand::rngs::OsRng;

use crate::cluster::{ISSUER, node};
use crate::decision::{NOW_LATER, World};
use crate::owner::{CONFIRMATION, Owner};

/// What a node's list says of a token, and how long a reader may keep it.
async fn status(world: &World, at: u16, claims: &Claims) -> (Status, i64) {
    let client = &world.cluster.client;
    let keys = world.cluster.url(at, "/.well-known/jwks.json");
    let keys: JwkSet = get_json(client, &keys).await.unwrap();
    let slot = &claims.status.status_list;
    let path = slot.uri.strip_prefix(ISSUER).unwrap();
    let answer = client
        .get(world.cluster.url(at, path))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    let age = answer.headers()["cache-control"].to_str().unwrap();
    let age = age.strip_prefix("max-age=").unwrap().parse().unwrap();
    let list = answer.text().await.unwrap();
    (status_of(&list, &keys, slot, NOW_LATER).unwrap(), age)
}

async fn revoke(
    world: &World,
    at: u16,
    revocation: &Revocation,
) -> Result<RevokeAnswer, HttpError> {
    world
        .cluster
        .post(at, "/v1/decision/revoke", revocation)
        .await
}

fn withdrawn(answer: &DecideAnswer, claims: &Claims, secret: &[u8; 32]) -> Revocation {
    Revocation::Withdrawn {
        token: answer.token.clone(),
        signature: bip340::sign(secret, &withdrawal_message(claims), &mut OsRng).unwrap(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_withdrawn_by_its_holder_is_seen_to_be_at_every_node_also_one_that_was_down() {
    let mut world = World::new().await;
    let mut owner = Owner::new(1);
    let presentation = world.presentation(&mut owner).await;
    let answer = world.decide(1, &presentation).await.unwrap();
    let claims = world.claims(1, &answer).await;
    let other = world.presentation(&mut Owner::new(2)).await;
    let other = world.decide(1, &other).await.unwrap();
    let other = world.claims(1, &other).await;
    for at in 1..=4 {
        let (said, age) = status(&world, at, &claims).await;
        assert_eq!(said, Status::Valid);
        assert!((1..=300).contains(&age), "{age}");
    }

    // Attack: somebody who saw the token withdraws it.
    let foreign = withdrawn(&answer, &claims, &[9; 32]);
    let moved = withdrawn(&answer, &other, &CONFIRMATION);
    for evidence in [foreign, moved] {
        let refused = revoke(&world, 2, &evidence).await.unwrap_err();
        assert!(
            matches!(&refused, HttpError::Problem(it) if it.code() == "revocation"),
            "{refused}"
        );
    }

    world.cluster.kill(4).await;
    let kept = revoke(&world, 2, &withdrawn(&answer, &claims, &CONFIRMATION))
        .await
        .unwrap();
    assert_eq!(kept.kept, [1, 2, 3].map(node));
    for at in 1..=3 {
        assert_eq!(status(&world, at, &claims).await.0, Status::Invalid);
        assert_eq!(status(&world, at, &other).await.0, Status::Valid);
    }

    // A member that missed it learns it before it has a list signed; two that have it are of any three.
    world.cluster.restart(4).await;
    world.cluster.kill(2).await;
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        let list = world.cluster.url(4, "/status/0");
        let up = world
            .cluster
            .client
            .get(list)
            .send()
            .await
            .is_ok_and(|it| it.status() == 200);
        if up || Instant::now() > until {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(status(&world, 4, &claims).await.0, Status::Invalid);

    // Asked again it is revoked still; with one member left it is not said to be.
    world.cluster.kill(1).await;
    world.cluster.kill(3).await;
    let alone = revoke(&world, 4, &withdrawn(&answer, &claims, &CONFIRMATION))
        .await
        .unwrap_err();
    assert!(
        matches!(&alone, HttpError::Problem(it) if it.code() == "no-quorum"),
        "{alone}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_yes_is_revoked_by_the_no_that_follows_it_and_by_nothing_earlier_or_elsewhere() {
    let world = World::new().await;
    let mut owner = Owner::new(1);
    let presentation = world.presentation(&mut owner).await;
    let yes = world.decide(1, &presentation).await.unwrap();
    let yes_claims = world.claims(1, &yes).await;
    let neighbour = world.presentation(&mut Owner::new(2)).await;
    let neighbour = world.decide(3, &neighbour).await.unwrap();
    let neighbour = world.claims(1, &neighbour).await;
    assert_eq!(status(&world, 2, &yes_claims).await.0, Status::Valid);

    // A second later, since instants are whole seconds.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    owner.income = 912_345;
    let presentation = world.presentation(&mut owner).await;
    let no = world.decide(2, &presentation).await.unwrap();
    let no_claims = world.claims(1, &no).await;
    assert_eq!(
        (yes_claims.verdict, no_claims.verdict),
        (Verdict::Yes, Verdict::No)
    );
    for at in 1..=4 {
        assert_eq!(
            status(&world, at, &yes_claims).await.0,
            Status::Invalid,
            "node {at}"
        );
        assert_eq!(
            status(&world, at, &no_claims).await.0,
            Status::Valid,
            "node {at}"
        );
        assert_eq!(
            status(&world, at, &neighbour).await.0,
            Status::Valid,
            "node {at}"
        );
    }

    // Attack: the earlier decision, or somebody else's, shown as what supersedes.
    for (token, by) in [(&no, &yes), (&no, &no)] {
        let evidence = Revocation::Superseded {
            token: token.token.clone(),
            by: by.token.clone(),
        };
        assert!(revoke(&world, 1, &evidence).await.is_err());
    }
}
