//! Tokens and status lists: what a relying party accepts, and each attack that it refuses.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{AUDIENCE, ISSUER, Keys, NOW, claims, decision, flips};
use contracts::bip340;
use contracts::encoding::{Blob, Bytes, to_base64url, to_jcs};
use contracts::ids::Verdict;
use contracts::jwk::{JwkError, JwkSet, OkpJwk, thumbprint};
use contracts::jws::JwsError;
use contracts::revocation::{Revocation, RevocationError, withdrawal_message};
use contracts::status::{
    self, LIST_BYTES, LIST_SIZE, Status, StatusError, StatusList, StatusListClaims, StatusRef,
};
use contracts::token::{self, Claims, MAX_LIFETIME, MAX_TOKEN_BYTES, TokenError};
use contracts::units::UnixTime;
use ed25519_dalek::Verifier as _;
use serde_json::{Value, json};

fn verify(keys: &Keys, jws: &str) -> Result<Claims, TokenError> {
    token::verify(jws, &keys.jwks(), ISSUER, AUDIENCE, NOW)
}

/// A token over any header and payload, really signed.
fn forge(keys: &Keys, header: &str, payload: &str) -> String {
    keys.sign(&format!(
        "{}.{}",
        to_base64url(header),
        to_base64url(payload)
    ))
}

fn good_header(keys: &Keys) -> String {
    let kid = thumbprint(&keys.decision.verifying_key());
    json!({"alg": "EdDSA", "kid": kid, "typ": "shp-decision+jwt"}).to_string()
}

fn payload(keys: &Keys) -> Value {
    serde_json::to_value(claims(keys)).unwrap()
}

#[test]
fn a_token_verifies_and_gives_its_claims() {
    let keys = Keys::new(1);
    assert_eq!(
        verify(&keys, &keys.token(&claims(&keys))),
        Ok(claims(&keys))
    );
}

#[test]
fn a_frost_group_signature_is_an_ordinary_one() {
    use frost_ed25519::keys::{IdentifierList, KeyPackage, generate_with_dealer};
    use frost_ed25519::{SigningPackage, aggregate, round1, round2};
    let mut rng = rand::rngs::OsRng;
    let (shares, public) = generate_with_dealer(4, 3, IdentifierList::Default, rng).unwrap();
    let group: [u8; 32] = public
        .verifying_key()
        .serialize()
        .unwrap()
        .try_into()
        .unwrap();
    let group = contracts::jwk::ed25519_key(&group).unwrap();
    let keys = Keys::new(1);
    let input = token::signing_input(&claims(&keys), &thumbprint(&group));

    let packages: Vec<KeyPackage> = shares
        .into_values()
        .take(3)
        .map(|share| KeyPackage::try_from(share).unwrap())
        .collect();
    let (mut nonces, mut commitments) = (Vec::new(), std::collections::BTreeMap::new());
    for package in &packages {
        let (nonce, commitment) = round1::commit(package.signing_share(), &mut rng);
        nonces.push(nonce);
        commitments.insert(*package.identifier(), commitment);
    }
    let package = SigningPackage::new(commitments, input.as_bytes());
    let signatures = packages
        .iter()
        .zip(&nonces)
        .map(|(key, nonce)| {
            let share = round2::sign(&package, nonce, key).unwrap();
            (*key.identifier(), share)
        })
        .collect();
    let signature = aggregate(&package, &signatures, &public).unwrap();
    let signature = Bytes::from_slice(&signature.serialize().unwrap()).unwrap();
    let jws = token::assemble(&input, &signature);
    assert!(token::open(&jws, &JwkSet::new([&group])).is_ok());
}

#[test]
fn one_changed_character_anywhere_is_refused() {
    let keys = Keys::new(1);
    let jws = keys.token(&claims(&keys));
    for changed in flips(&jws) {
        assert!(verify(&keys, &changed).is_err(), "{changed}");
    }
    for changed in [
        format!("{jws}A"),
        format!("{jws}="),
        format!(" {jws}"),
        format!("{jws}\n"),
    ] {
        assert!(verify(&keys, &changed).is_err());
    }
}

#[test]
fn a_token_by_another_committee_is_refused() {
    let (keys, other) = (Keys::new(1), Keys::new(2));
    let jws = other.token(&claims(&keys));
    assert!(matches!(
        verify(&keys, &jws),
        Err(TokenError::UnknownKey(_))
    ));
    let forged = forge(&other, &good_header(&keys), &payload(&keys).to_string());
    assert_eq!(verify(&keys, &forged), Err(TokenError::Signature));
}

#[test]
fn a_signature_with_a_nonce_of_small_order_is_refused() {
    use curve25519_dalek::edwards::CompressedEdwardsY;
    use curve25519_dalek::scalar::Scalar;
    use curve25519_dalek::traits::Identity;
    use sha2::{Digest, Sha512};
    let keys = Keys::new(1);
    let public = keys.decision.verifying_key();
    let input = token::signing_input(&claims(&keys), &thumbprint(&public));
    // R = identity and s = k·a satisfies the bare equation s·B = R + k·A.
    let r = CompressedEdwardsY::identity();
    let hash = Sha512::new()
        .chain_update(r.as_bytes())
        .chain_update(public.as_bytes())
        .chain_update(&input);
    let s = Scalar::from_hash(hash) * keys.decision.to_scalar();
    let signature = [r.to_bytes(), s.to_bytes()].concat();
    let signature = Bytes::from_slice(&signature).unwrap();
    let bare = ed25519_dalek::Signature::from_bytes(&signature.0);
    assert!(public.verify(input.as_bytes(), &bare).is_ok());
    assert_eq!(
        verify(&keys, &token::assemble(&input, &signature)),
        Err(TokenError::Signature)
    );
}

#[test]
fn algorithm_confusion_and_other_headers_are_refused() {
    let keys = Keys::new(1);
    let kid = thumbprint(&keys.decision.verifying_key());
    let body = String::from_utf8(to_jcs(&payload(&keys)).unwrap()).unwrap();
    assert!(verify(&keys, &forge(&keys, &good_header(&keys), &body)).is_ok());
    let typ = "shp-decision+jwt";
    for header in [
        json!({"alg": "none", "kid": kid, "typ": typ}).to_string(),
        json!({"alg": "HS256", "kid": kid, "typ": typ}).to_string(),
        json!({"alg": "Ed25519", "kid": kid, "typ": typ}).to_string(),
        json!({"alg": "EdDSA", "kid": kid, "typ": "JWT"}).to_string(),
        json!({"alg": "EdDSA", "kid": kid, "typ": "statuslist+jwt"}).to_string(),
        json!({"alg": "EdDSA", "kid": kid}).to_string(),
        json!({"alg": "EdDSA", "typ": typ}).to_string(),
        json!({"alg": "EdDSA", "kid": kid, "typ": typ, "crit": ["x"]}).to_string(),
        json!({"alg": "EdDSA", "kid": kid, "typ": typ, "jwk": {}}).to_string(),
        format!(r#"{{"alg":"EdDSA","alg":"EdDSA","kid":"{kid}","typ":"{typ}"}}"#),
        format!(r#"{{"alg": "EdDSA","kid":"{kid}","typ":"{typ}"}}"#),
        format!(r#"{{"kid":"{kid}","alg":"EdDSA","typ":"{typ}"}}"#),
    ] {
        let refused = verify(&keys, &forge(&keys, &header, &body));
        let expected = matches!(refused, Err(TokenError::Jws(JwsError::Header { .. })));
        assert!(expected, "{header}: {refused:?}");
    }
}

#[test]
fn claims_in_any_other_spelling_are_refused() {
    let keys = Keys::new(1);
    let header = good_header(&keys);
    let body = String::from_utf8(to_jcs(&payload(&keys)).unwrap()).unwrap();
    let refused = |body: String| match verify(&keys, &forge(&keys, &header, &body)) {
        Err(TokenError::Jws(error)) => error,
        other => panic!("{body}: {other:?}"),
    };
    assert_eq!(refused(format!(" {body}")), JwsError::NotCanonical);
    let empty_reasons = body.replace(r#""status":"#, r#""reasons":[],"status":"#);
    assert_eq!(refused(empty_reasons), JwsError::NotCanonical);
    let escaped = body.replace(r#""CA""#, r#""\u0043A""#);
    assert_eq!(refused(escaped), JwsError::NotCanonical);
    let twice = body.replace(r#""verdict":"YES""#, r#""verdict":"NO","verdict":"YES""#);
    assert!(matches!(refused(twice), JwsError::Claims(_)));
    let more = body.replace(r#""verdict":"#, r#""trust_me":true,"verdict":"#);
    assert!(matches!(refused(more), JwsError::Claims(_)));
    let float = body.replace(r#""iat":1795175400"#, r#""iat":1795175400.0"#);
    assert_ne!(float, body);
    refused(float);
    for name in payload(&keys).as_object().unwrap().keys() {
        let mut less = payload(&keys);
        less.as_object_mut().unwrap().remove(name);
        let less = String::from_utf8(to_jcs(&less).unwrap()).unwrap();
        assert!(matches!(refused(less), JwsError::Claims(_)), "{name}");
    }
}

#[test]
fn an_oversized_token_is_refused_before_it_is_parsed() {
    let keys = Keys::new(1);
    let jws = "a".repeat(MAX_TOKEN_BYTES + 1);
    let refused = Err(TokenError::Jws(JwsError::TooLarge {
        max: MAX_TOKEN_BYTES,
        got: MAX_TOKEN_BYTES + 1,
    }));
    assert_eq!(verify(&keys, &jws), refused);
}

#[test]
fn claims_no_committee_would_write_are_refused() {
    let keys = Keys::new(1);
    let claim = |change: &dyn Fn(&mut Claims)| {
        let mut claims = claims(&keys);
        change(&mut claims);
        match verify(&keys, &keys.token(&claims)) {
            Err(TokenError::Claim { claim, .. }) => claim,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(claim(&|c| c.reasons = vec!["income".into()]), "reasons");
    assert_eq!(
        claim(&|c| (c.verdict, c.reasons) = (Verdict::No, vec!["a".into(); 65])),
        "reasons"
    );
    assert_eq!(claim(&|c| c.exp = c.iat), "exp");
    assert_eq!(
        claim(&|c| c.exp = UnixTime(c.iat.0 + MAX_LIFETIME + 1)),
        "exp"
    );
    assert_eq!(
        claim(&|c| (c.iat, c.exp) = (UnixTime(-1 << 40), UnixTime(1 - (1 << 40)))),
        "iat"
    );
    assert_eq!(claim(&|c| c.contract.id = String::new()), "contract");
    assert_eq!(claim(&|c| c.aud = "a".repeat(257)), "aud");
    assert_eq!(claim(&|c| c.status.status_list.idx += 1), "status");
    assert_eq!(claim(&|c| c.status.status_list.uri += "0"), "status");
    assert_eq!(
        claim(&|c| *c = decision(&keys).recorded_at(common::ORIGIN, 1 << 53)),
        "ledger"
    );
}

#[test]
fn a_token_for_another_audience_or_issuer_is_refused() {
    let keys = Keys::new(1);
    let jws = keys.token(&claims(&keys));
    let at = |issuer, audience| token::verify(&jws, &keys.jwks(), issuer, audience, NOW);
    assert!(matches!(
        at(ISSUER, "https://dhcs.nv.example"),
        Err(TokenError::Audience { .. })
    ));
    assert!(matches!(
        at("https://evil.example", AUDIENCE),
        Err(TokenError::Issuer { .. })
    ));
}

#[test]
fn an_expired_token_and_one_from_the_future_are_refused() {
    let keys = Keys::new(1);
    let claims = claims(&keys);
    let jws = keys.token(&claims);
    let at = |now| token::verify(&jws, &keys.jwks(), ISSUER, AUDIENCE, UnixTime(now));
    assert!(
        at(claims.iat.0 - 60).is_ok(),
        "clocks may differ by a minute"
    );
    assert!(matches!(
        at(claims.iat.0 - 61),
        Err(TokenError::NotYet { .. })
    ));
    assert!(at(claims.exp.0 - 1).is_ok());
    assert!(matches!(at(claims.exp.0), Err(TokenError::Expired { .. })));
}

#[test]
fn the_ledger_commits_to_the_claims_before_their_place() {
    let keys = Keys::new(1);
    let claims = claims(&keys);
    assert_eq!(claims.commitment_input(), decision(&keys));
    let salt = Bytes([9; 32]);
    let commitment = decision(&keys).commitment(&salt);
    assert_ne!(commitment, decision(&keys).commitment(&Bytes([8; 32])));
    let mut other = decision(&keys);
    other.exp.0 += 1;
    assert_ne!(commitment, other.commitment(&salt));
}

#[test]
fn a_jwk_set_with_a_false_kid_a_weak_key_or_a_repeated_one_is_refused() {
    let keys = Keys::new(1);
    let jwks = keys.jwks();
    let json = serde_json::to_value(&jwks).unwrap();
    assert_eq!(JwkSet::parse(json.to_string().as_bytes()), Ok(jwks.clone()));
    let refuse = |change: &dyn Fn(&mut Value)| {
        let mut changed = json.clone();
        change(&mut changed);
        let error = JwkSet::parse(changed.to_string().as_bytes()).unwrap_err();
        assert!(matches!(error, JwkError::Json(_)), "{error}");
    };
    refuse(&|set| set["keys"][0]["kid"] = json!("decision"));
    refuse(&|set| set["keys"][0]["x"] = json!(Bytes([0u8; 32])));
    refuse(&|set| set["keys"][0]["alg"] = json!("HS256"));
    refuse(&|set| set["keys"][0]["d"] = json!("secret"));
    refuse(&|set| {
        let again = set["keys"][0].clone();
        set["keys"].as_array_mut().unwrap().push(again);
    });
    refuse(&|set| {
        let many = (100..165).map(|i| OkpJwk::new(&Keys::new(i).notifier.verifying_key()));
        set["keys"] = json!(many.collect::<Vec<_>>());
    });
    assert_eq!(JwkSet::parse(&[b' '; 65_537]), Err(JwkError::TooLarge));
    assert_eq!(OkpJwk::new(&keys.decision.verifying_key()), jwks.keys()[0]);
}

fn slot(idx: u64) -> StatusRef {
    StatusRef {
        idx,
        uri: status::uri(ISSUER, 0),
    }
}

fn list_token(keys: &Keys, change: impl Fn(&mut StatusListClaims)) -> String {
    let mut list = StatusList::all_valid();
    list.revoke(4).unwrap();
    let mut claims = StatusListClaims::new(&list, &slot(0).uri, NOW, 300, 300);
    change(&mut claims);
    let kid = thumbprint(&keys.decision.verifying_key());
    keys.sign(&status::signing_input(&claims, &kid))
}

#[test]
fn a_revoked_token_can_be_seen_to_be() {
    let keys = Keys::new(1);
    let jws = list_token(&keys, |_| ());
    let at = |idx| status::status_of(&jws, &keys.jwks(), &slot(idx), NOW);
    assert_eq!(
        (at(3), at(4), at(5)),
        (Ok(Status::Valid), Ok(Status::Invalid), Ok(Status::Valid))
    );
    assert_eq!(at(LIST_SIZE), Err(StatusError::Index(LIST_SIZE)));
    let revoked = StatusList::all_valid().revoke(LIST_SIZE);
    assert_eq!(revoked, Err(StatusError::Index(LIST_SIZE)));
    let location = status::location(ISSUER, LIST_SIZE + 4).status_list;
    assert_eq!((location.idx, location.uri), (4, status::uri(ISSUER, 1)));
}

#[test]
fn another_list_a_stale_one_or_a_forged_one_says_nothing() {
    let (keys, other) = (Keys::new(1), Keys::new(2));
    let look = |jws: &str, now| status::status_of(jws, &keys.jwks(), &slot(4), now);
    let good = list_token(&keys, |_| ());
    assert!(matches!(
        look(&good, UnixTime(NOW.0 + 300)),
        Err(StatusError::Time { .. })
    ));
    assert!(matches!(
        look(&good, UnixTime(NOW.0 - 61)),
        Err(StatusError::Time { .. })
    ));
    let forged = list_token(&other, |_| ());
    assert!(matches!(
        look(&forged, NOW),
        Err(StatusError::Token(TokenError::UnknownKey(_)))
    ));
    let elsewhere = list_token(&keys, |claims| claims.sub = status::uri(ISSUER, 1));
    assert!(matches!(
        look(&elsewhere, NOW),
        Err(StatusError::Subject { .. })
    ));
    let two_bits = list_token(&keys, |claims| claims.status_list.bits = 2);
    assert_eq!(look(&two_bits, NOW), Err(StatusError::Bits(2)));
    let token = keys.token(&claims(&keys));
    assert!(
        matches!(look(&token, NOW), Err(StatusError::Token(_))),
        "a token is no list"
    );
}

#[test]
fn a_zlib_bomb_or_a_short_list_is_refused() {
    use std::io::Write;
    let zlib = |bytes: &[u8]| {
        let level = flate2::Compression::best();
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), level);
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let read = |stream: Vec<u8>| StatusList::decompress(&Blob(stream));
    assert!(read(zlib(&vec![0; LIST_BYTES])).is_ok());
    for length in [0, LIST_BYTES - 1, LIST_BYTES + 1, 64 << 20] {
        assert_eq!(
            read(zlib(&vec![0; length])),
            Err(StatusError::List),
            "{length}"
        );
    }
    let mut trailing = zlib(&vec![0; LIST_BYTES]);
    trailing.push(0);
    assert_eq!(read(trailing), Err(StatusError::List));
    let keys = Keys::new(1);
    let bomb = list_token(&keys, |c| {
        c.status_list.lst = Blob(zlib(&vec![0; 64 << 20]))
    });
    assert_eq!(
        status::status_of(&bomb, &keys.jwks(), &slot(0), NOW),
        Err(StatusError::List)
    );
}

#[test]
fn wire_formats_of_token_and_status_list() {
    let keys = Keys::new(1);
    let kid = thumbprint(&keys.decision.verifying_key());
    insta::assert_snapshot!("token", keys.token(&claims(&keys)));
    insta::assert_snapshot!("header", good_header(&keys));
    insta::assert_json_snapshot!("claims", claims(&keys));
    insta::assert_json_snapshot!("jwks", keys.jwks());
    let mut list = StatusListClaims::new(&StatusList::all_valid(), &slot(0).uri, NOW, 300, 300);
    // The stream depends on the compressor; its meaning is tested against the draft's own vectors.
    list.status_list.lst = Blob(Vec::new());
    insta::assert_json_snapshot!("status_list_claims", list);
    assert_eq!(kid.len(), 43);
}

/// Attack: a token of another person, audience, contract or day, or an earlier one, shown as what supersedes.
#[test]
fn only_a_later_decision_of_the_same_question_supersedes() {
    let keys = Keys::new(1);
    let yes = keys.token(&claims(&keys));
    let verify = |edit: &dyn Fn(&mut Claims), signer: &Keys| {
        let mut later = claims(&keys);
        later.iat = UnixTime(later.iat.0 + 1);
        later.verdict = Verdict::No;
        edit(&mut later);
        let superseded = Revocation::Superseded {
            token: yes.clone(),
            by: signer.token(&later),
        };
        superseded.verify(&keys.jwks(), ISSUER)
    };
    assert_eq!(verify(&|_| (), &keys), Ok(claims(&keys)));
    type Edit<'a> = &'a dyn Fn(&mut Claims);
    let edits: [(&str, Edit<'_>); 7] = [
        ("sub", &|it| it.sub = Bytes([9; 32])),
        ("aud", &|it| it.aud = "https://other.example".to_owned()),
        ("contract", &|it| {
            it.contract.id = "us.chip.child".to_owned()
        }),
        ("jurisdiction", &|it| {
            it.jurisdiction = "NV".parse().unwrap()
        }),
        ("as_of", &|it| it.as_of = it.as_of.plus(-1).unwrap()),
        ("iat", &|it| it.iat = claims(&keys).iat),
        ("verdict", &|it| it.verdict = Verdict::Yes),
    ];
    for (claim, edit) in edits {
        assert_eq!(verify(edit, &keys), Err(RevocationError::Later(claim)));
    }
    assert!(matches!(
        verify(&|_| (), &Keys::new(2)),
        Err(RevocationError::Token(_))
    ));
}

/// Attack: who saw a token, or holds another, withdraws it.
#[test]
fn only_the_key_in_cnf_withdraws() {
    let keys = Keys::new(1);
    let claims = claims(&keys);
    let by = |secret: [u8; 32], message: &[u8; 32]| {
        let signature = bip340::sign(&secret, message, &mut rand::rngs::OsRng).unwrap();
        let token = keys.token(&claims);
        Revocation::Withdrawn { token, signature }.verify(&keys.jwks(), ISSUER)
    };
    let (ours, message) = (keys.wallet.secret_bytes(), withdrawal_message(&claims));
    assert_eq!(by(ours, &message), Ok(claims.clone()));
    assert_eq!(by([9; 32], &message), Err(RevocationError::Signature));
    let mut other = claims.clone();
    other.jti = Bytes([9; 32]);
    let other = withdrawal_message(&other);
    assert_eq!(by(ours, &other), Err(RevocationError::Signature));
}
