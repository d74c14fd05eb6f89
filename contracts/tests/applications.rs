//! Applications: each attack on the agency's door, by name.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{AUDIENCE, ISSUER, Keys, NOW, claims};
use contracts::application::{
    Answer, Application, ApplicationError, MAX_APPLICATION_BYTES, MAX_APPROVAL_AGE, MAX_PROOF_AGE,
    ProofClaims, Relying, verify_application, wallet_proof,
};
use contracts::bip340;
use contracts::encoding::{Bytes, from_base64url};
use contracts::ids::Verdict;
use contracts::jws::JwsError;
use contracts::representation::{Basis, Representation};
use contracts::token::{Claims, TokenError};
use contracts::units::UnixTime;
use secp256k1::{SECP256K1, ecdsa};

fn verify_at(keys: &Keys, app: &Application, now: UnixTime) -> Result<Claims, ApplicationError> {
    let relying = Relying {
        issuer: ISSUER,
        audience: AUDIENCE,
        keys: &keys.jwks(),
        notifier_key: &keys.notifier.verifying_key(),
        now,
    };
    verify_application(app, &relying)
}

fn verify(keys: &Keys, app: &Application) -> Result<Claims, ApplicationError> {
    verify_at(keys, app, NOW)
}

/// An application whose proof's claims are changed, then really signed by the wallet.
fn with_proof(keys: &Keys, change: impl Fn(&mut ProofClaims)) -> Application {
    let mut app = keys.application(&claims(keys));
    let mut proof = ProofClaims {
        aud: AUDIENCE.to_owned(),
        jti: claims(keys).jti,
        approval: app.approval.hash(),
        iat: NOW,
    };
    change(&mut proof);
    app.wallet_proof = wallet_proof(&proof, &keys.wallet);
    app
}

#[test]
fn an_application_is_accepted_and_read_back_from_json() {
    let keys = Keys::new(1);
    let app = keys.application(&claims(&keys));
    assert_eq!(verify(&keys, &app), Ok(claims(&keys)));
    let json = serde_json::to_vec(&app).unwrap();
    assert_eq!(Application::parse(&json), Ok(app));
}

#[test]
fn a_no_cannot_be_filed() {
    let keys = Keys::new(1);
    let mut no = claims(&keys);
    no.verdict = Verdict::No;
    assert_eq!(
        verify(&keys, &keys.application(&no)),
        Err(ApplicationError::Verdict)
    );
}

#[test]
fn a_token_for_another_agency_or_by_another_committee_cannot_be_filed() {
    let (keys, other) = (Keys::new(1), Keys::new(2));
    let mut elsewhere = claims(&keys);
    elsewhere.aud = "https://dhcs.nv.example".to_owned();
    let refused = verify(&keys, &keys.application(&elsewhere));
    assert!(matches!(
        refused,
        Err(ApplicationError::Token(TokenError::Audience { .. }))
    ));
    let mut forged = keys.application(&claims(&keys));
    forged.token = other.token(&claims(&keys));
    let refused = verify(&keys, &forged);
    assert!(matches!(
        refused,
        Err(ApplicationError::Token(TokenError::UnknownKey(_)))
    ));
}

#[test]
fn an_expired_token_cannot_be_filed() {
    let keys = Keys::new(1);
    let refused = verify_at(&keys, &keys.application(&claims(&keys)), claims(&keys).exp);
    assert!(matches!(
        refused,
        Err(ApplicationError::Token(TokenError::Expired { .. }))
    ));
}

#[test]
fn a_wallet_cannot_file_without_the_owners_reply() {
    let (keys, other) = (Keys::new(1), Keys::new(2));
    let mut app = keys.application(&claims(&keys));
    app.approval = other.approval(claims(&keys).jti, Answer::Yes, app.approval.replied_at);
    assert_eq!(verify(&keys, &app), Err(ApplicationError::Notifier));
}

#[test]
fn a_no_by_text_cannot_be_passed_off_as_a_yes() {
    let keys = Keys::new(1);
    let mut app = keys.application(&claims(&keys));
    app.approval = keys.approval(claims(&keys).jti, Answer::No, UnixTime(NOW.0 - 60));
    assert_eq!(verify(&keys, &app), Err(ApplicationError::Declined));
    app.approval.answer = Answer::Yes;
    assert_eq!(verify(&keys, &app), Err(ApplicationError::Notifier));
}

#[test]
fn a_yes_to_another_decision_cannot_be_reused() {
    let keys = Keys::new(1);
    let mut app = keys.application(&claims(&keys));
    app.approval = keys.approval(Bytes([8; 32]), Answer::Yes, app.approval.replied_at);
    assert!(matches!(
        verify(&keys, &app),
        Err(ApplicationError::Decision { .. })
    ));
    app.approval.decision_id = claims(&keys).jti;
    assert_eq!(verify(&keys, &app), Err(ApplicationError::Notifier));
}

#[test]
fn a_redated_reply_is_refused() {
    let keys = Keys::new(1);
    let mut app = keys.application(&claims(&keys));
    app.approval.replied_at.0 += 1;
    assert_eq!(verify(&keys, &app), Err(ApplicationError::Notifier));
}

#[test]
fn a_reply_before_the_decision_in_the_future_or_long_ago_is_refused() {
    let keys = Keys::new(1);
    let iat = claims(&keys).iat.0;
    let replied = |at: i64, now: i64| {
        let mut app = keys.application(&claims(&keys));
        app.approval = keys.approval(claims(&keys).jti, Answer::Yes, UnixTime(at));
        let proof = ProofClaims {
            aud: AUDIENCE.to_owned(),
            jti: claims(&keys).jti,
            approval: app.approval.hash(),
            iat: UnixTime(now),
        };
        app.wallet_proof = wallet_proof(&proof, &keys.wallet);
        match verify_at(&keys, &app, UnixTime(now)) {
            Ok(_) => true,
            Err(ApplicationError::ApprovalTime { .. }) => false,
            other => panic!("{other:?}"),
        }
    };
    assert!(replied(iat - 60, NOW.0) && !replied(iat - 61, NOW.0));
    assert!(replied(NOW.0 + 60, NOW.0) && !replied(NOW.0 + 61, NOW.0));
    let at = iat + 600;
    assert!(replied(at, at + MAX_APPROVAL_AGE + 60) && !replied(at, at + MAX_APPROVAL_AGE + 61));
}

#[test]
fn a_stolen_token_cannot_be_filed_without_the_wallets_key() {
    let (keys, thief) = (Keys::new(1), Keys::new(2));
    let mut app = keys.application(&claims(&keys));
    app.wallet_proof = thief.application(&claims(&keys)).wallet_proof;
    assert_eq!(verify(&keys, &app), Err(ApplicationError::ProofSignature));
}

#[test]
fn a_proof_made_for_another_agency_token_or_reply_is_refused() {
    let keys = Keys::new(1);
    let refused = |app| verify(&keys, &app).unwrap_err();
    use ApplicationError::ProofClaim;
    assert_eq!(
        refused(with_proof(&keys, |p| p.aud += "x")),
        ProofClaim("aud")
    );
    assert_eq!(
        refused(with_proof(&keys, |p| p.jti = Bytes([8; 32]))),
        ProofClaim("jti")
    );
    assert_eq!(
        refused(with_proof(&keys, |p| p.approval = Bytes([8; 32]))),
        ProofClaim("approval")
    );
}

#[test]
fn a_replayed_or_early_proof_is_refused() {
    let keys = Keys::new(1);
    let made = |at: i64| match verify(&keys, &with_proof(&keys, |p| p.iat = UnixTime(at))) {
        Ok(_) => true,
        Err(ApplicationError::ProofTime { .. }) => false,
        other => panic!("{other:?}"),
    };
    assert!(made(NOW.0) && made(NOW.0 + 60) && !made(NOW.0 + 61));
    let replied_at = NOW.0 - 60;
    assert!(
        made(replied_at - 60) && !made(replied_at - 61),
        "before the reply"
    );
    let later = |by: i64| {
        verify_at(
            &keys,
            &keys.application(&claims(&keys)),
            UnixTime(NOW.0 + by),
        )
    };
    assert!(later(MAX_PROOF_AGE + 60).is_ok());
    let refused = later(MAX_PROOF_AGE + 61);
    assert!(matches!(refused, Err(ApplicationError::ProofTime { .. })));
}

#[test]
fn a_proof_with_the_mirrored_signature_is_refused() {
    let keys = Keys::new(1);
    let mut app = keys.application(&claims(&keys));
    let (input, signature) = app.wallet_proof.rsplit_once('.').unwrap();
    let mut bytes = from_base64url(signature).unwrap();
    let s = secp256k1::SecretKey::from_slice(&bytes[32..])
        .unwrap()
        .negate();
    bytes[32..].copy_from_slice(s.as_ref());
    let mirrored = ecdsa::Signature::from_compact(&bytes).unwrap();
    let mut low = mirrored;
    low.normalize_s();
    assert_ne!(low, mirrored, "the negated s is the high one");
    app.wallet_proof = format!("{input}.{}", Bytes::<64>::from_slice(&bytes).unwrap());
    assert_eq!(verify(&keys, &app), Err(ApplicationError::ProofSignature));
}

#[test]
fn a_proof_under_another_header_is_refused() {
    use contracts::jws;
    use sha2::{Digest, Sha256};
    let keys = Keys::new(1);
    let mut app = keys.application(&claims(&keys));
    let proof = ProofClaims {
        aud: AUDIENCE.to_owned(),
        jti: claims(&keys).jti,
        approval: app.approval.hash(),
        iat: NOW,
    };
    for (alg, typ, kid) in [
        ("ES256", "shp-application+jwt", None),
        ("none", "shp-application+jwt", None),
        ("ES256K", "dpop+jwt", None),
        ("ES256K", "shp-application+jwt", Some("x")),
    ] {
        let input = jws::signing_input(&proof, alg, typ, kid);
        let digest = secp256k1::Message::from_digest(Sha256::digest(&input).into());
        let signature = SECP256K1
            .sign_ecdsa(&digest, &keys.wallet)
            .serialize_compact();
        app.wallet_proof = jws::assemble(&input, &Bytes(signature));
        let refused = verify(&keys, &app);
        assert!(matches!(
            refused,
            Err(ApplicationError::Proof(JwsError::Header { .. }))
        ));
    }
}

#[test]
fn one_changed_character_anywhere_in_an_application_is_refused() {
    let keys = Keys::new(1);
    let app = keys.application(&claims(&keys));
    for token in common::flips(&app.token) {
        assert!(
            verify(
                &keys,
                &Application {
                    token,
                    ..app.clone()
                }
            )
            .is_err()
        );
    }
    for wallet_proof in common::flips(&app.wallet_proof) {
        assert!(
            verify(
                &keys,
                &Application {
                    wallet_proof,
                    ..app.clone()
                }
            )
            .is_err()
        );
    }
}

/// An application that a representative's reply files.
fn represented(keys: &Keys, basis: Basis) -> Application {
    let mut app = keys.application(&claims(keys));
    let grant = Bytes([7; 32]);
    let digest = Representation::digest(&app.approval, basis, &grant);
    let signature = bip340::sign(&[5; 32], &digest, &mut rand_core::OsRng).unwrap();
    app.representation = Some(Representation {
        key: bip340::public_key(&[5; 32]).unwrap(),
        basis,
        grant,
        signature,
    });
    let proof = ProofClaims {
        aud: AUDIENCE.to_owned(),
        jti: claims(keys).jti,
        approval: app.approved(),
        iat: NOW,
    };
    app.wallet_proof = wallet_proof(&proof, &keys.wallet);
    app
}

#[test]
fn attack_a_representative_cannot_be_put_in_taken_out_or_exchanged() {
    let keys = Keys::new(1);
    let app = represented(&keys, Basis::GuardianshipOrder);
    assert_eq!(verify(&keys, &app), Ok(claims(&keys)));
    let json = serde_json::to_vec(&app).unwrap();
    assert_eq!(Application::parse(&json), Ok(app.clone()));
    let with = |change: fn(&mut Representation)| {
        let mut app = app.clone();
        app.representation.iter_mut().for_each(change);
        verify(&keys, &app)
    };
    let changes: [fn(&mut Representation); 4] = [
        |by| by.basis = Basis::Designation,
        |by| by.grant.0[0] ^= 1,
        |by| by.key = bip340::public_key(&[6; 32]).unwrap(),
        |by| by.signature.0[63] ^= 1,
    ];
    for change in changes {
        assert_eq!(with(change), Err(ApplicationError::Representation));
    }
    // Signed well, but not what the wallet sent.
    let proof = |app: &Application| verify(&keys, app);
    let mut without = app.clone();
    without.representation = None;
    let refused = Err(ApplicationError::ProofClaim("approval"));
    assert_eq!(proof(&without), refused);
    let mut exchanged = app;
    exchanged.representation = represented(&keys, Basis::Parent).representation;
    assert_eq!(proof(&exchanged), refused);
    let mut put_in = keys.application(&claims(&keys));
    put_in.representation = exchanged.representation;
    assert_eq!(proof(&put_in), refused);
}

#[test]
fn an_oversized_application_or_one_with_other_fields_is_not_read() {
    let keys = Keys::new(1);
    let large = vec![b' '; MAX_APPLICATION_BYTES + 1];
    assert!(matches!(
        Application::parse(&large),
        Err(ApplicationError::TooLarge(_))
    ));
    let mut json = serde_json::to_value(keys.application(&claims(&keys))).unwrap();
    json["name"] = "somebody".into();
    let refused = Application::parse(json.to_string().as_bytes());
    assert!(matches!(refused, Err(ApplicationError::Json(_))));
}

#[test]
fn the_reply_message_is_the_line_that_notifiers_sign() {
    let keys = Keys::new(1);
    let approval = keys.approval(Bytes([2; 32]), Answer::Yes, UnixTime(1_795_175_940));
    let message = "shp/v1/reply\nAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI\nYES\n1795175940";
    assert_eq!(approval.message(), message);
    insta::assert_json_snapshot!("application", keys.application(&claims(&keys)));
}
