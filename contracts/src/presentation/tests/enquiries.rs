//! Presentations to audiences that keep no cases: no `T`, counted by `N`.

use std::collections::HashSet;

use super::*;
use crate::group::PEDERSEN;
use crate::units::Period;

const INSURER: &str = "insurer.one";

/// The adult before an insurer, with leaves released to it; randomness from `seed`.
fn enquirer(audience: &str, seed: u64) -> Stage {
    let mut rng = rng(seed);
    let mut stage = Stage::yes();
    let purpose = Purpose {
        contract: stage.compiled.contract.hash,
        audience,
        observed: stage.compiled.as_of,
    };
    let values = values(&stage.compiled, |_| None);
    stage.witness = stage.world.issue(
        &stage.owner,
        &stage.compiled,
        &values,
        &purpose,
        |_| (),
        &mut rng,
    );
    stage.context = present_context(&mut rng);
    stage.context.audience = audience.to_owned();
    stage.context.enquiry = Some(Enquiry::at(stage.now, bytes32(&mut rng)).unwrap());
    stage
}

fn enquiry() -> &'static (Stage, Presentation) {
    static ENQUIRY: LazyLock<(Stage, Presentation)> = LazyLock::new(|| {
        let stage = enquirer(INSURER, 11);
        let shown = stage.prove().unwrap();
        (stage, shown)
    });
    &ENQUIRY
}

/// The enquiry after an edit and signed again, as its verifier sees it.
fn edited(edit: impl FnOnce(&mut Presentation)) -> Result<(), PresentationError> {
    let (stage, shown) = enquiry();
    let mut shown = shown.clone();
    edit(&mut shown);
    stage.resign(&mut shown);
    stage.verify(&shown)
}

#[test]
fn an_enquiry_is_verified_and_counted_by_n() {
    let (stage, shown) = enquiry();
    assert_eq!(stage.verify(shown), Ok(()));
    let month = Period::month_of(stage.compiled.as_of).unwrap();
    let n = stage.owner.secrets.k * restraint_base(INSURER, &month);
    assert_eq!(shown.pseudonym, Point::new(n).unwrap());
    assert_eq!(shown.subject(), shown.enquiry.unwrap().subject);
    assert_eq!(shown.check_month(stage.now), Ok(()));
    // A month on it is another number, which nobody can join to this one.
    let next: Period = "2026-12-01/2026-12-31".parse().unwrap();
    assert_ne!(
        restraint_base(INSURER, &next),
        restraint_base(INSURER, &month)
    );
    assert_ne!(
        restraint_base(INSURER, &month),
        pseudonym_base(INSURER),
        "N says nothing about T"
    );
}

#[test]
fn attack_a_foreign_k_in_n() {
    let (stage, shown) = enquiry();
    let foreign = Scalar::from(9u64) * shown.pseudonym_base();
    let foreign = Point::new(foreign).unwrap();
    assert_eq!(edited(|p| p.pseudonym = foreign), proof_error());
    // Proved by its own prover, who opens no C_person with it.
    let mut other = enquirer(INSURER, 11);
    other.witness.k = Scalar::from(9u64);
    let forged = other.forge();
    assert_eq!(forged.pseudonym, foreign);
    assert_eq!(
        stage.verify(&forged),
        Err(PresentationError::Statement(StatementError::Proof))
    );
}

#[test]
fn attack_n_of_another_audience_or_period() {
    let (stage, shown) = enquiry();
    let k = stage.owner.secrets.k;
    let month = shown.enquiry.unwrap().period;
    let of = |audience, period: &str| {
        let period = period.parse().unwrap();
        Point::new(k * restraint_base(audience, &period)).unwrap()
    };
    assert_eq!(of(INSURER, &month.to_string()), shown.pseudonym);
    for other in [
        of("insurer.two", &month.to_string()),
        of(INSURER, "2026-10-01/2026-10-31"),
        of(INSURER, "2026-11-01/2026-11-29"),
        Point::new(k * pseudonym_base(INSURER)).unwrap(),
    ] {
        assert_eq!(edited(|p| p.pseudonym = other), proof_error());
    }
    // With the period changed along: a good proof, and refused by whoever knows when it was decided.
    let mut october = enquirer(INSURER, 12);
    let enquiry = october.context.enquiry.as_mut().unwrap();
    enquiry.period = "2026-10-01/2026-10-31".parse().unwrap();
    let period = enquiry.period;
    let shown = october.prove().unwrap();
    assert_eq!(october.verify(&shown), Ok(()));
    assert_eq!(
        shown.check_month(october.now),
        Err(PresentationError::Month(period))
    );
    // A period that is no month would start a count of its own.
    for period in ["2026-11-01/2026-11-29", "2026-11-02/2026-12-01"] {
        let period = period.parse().unwrap();
        let mut own = enquirer(INSURER, 13);
        own.context.enquiry.as_mut().unwrap().period = period;
        assert_eq!(own.prove(), Err(PresentationError::Month(period)));
        assert_eq!(
            own.verify(&own.forge()),
            Err(PresentationError::Month(period))
        );
    }
}

#[test]
fn attack_a_presentation_with_neither_t_nor_n() {
    for shown in [honest(), &enquiry().1] {
        let mut json = serde_json::to_value(shown).unwrap();
        json.as_object_mut().unwrap().remove("pseudonym").unwrap();
        let parsed = Presentation::parse(json.to_string().as_bytes());
        assert!(matches!(parsed, Err(PresentationError::Json(_))));
        json["pseudonym"] = serde_json::Value::Null;
        let parsed = Presentation::parse(json.to_string().as_bytes());
        assert!(matches!(parsed, Err(PresentationError::Json(_))));
    }
}

#[test]
fn attack_t_shown_where_it_must_be_absent_or_withheld_where_it_must_be() {
    let (_, shown) = enquiry();
    use AudienceKind::{Agency, Insurer, Provider};
    for kind in [Insurer, Provider] {
        assert_eq!(shown.check_kind(kind), Ok(()));
        assert_eq!(
            honest().check_kind(kind),
            Err(PresentationError::Kind(kind))
        );
    }
    assert_eq!(honest().check_kind(Agency), Ok(()));
    assert_eq!(
        shown.check_kind(Agency),
        Err(PresentationError::Kind(Agency))
    );
    // Neither form becomes the other.
    assert_eq!(edited(|p| p.enquiry = None), proof_error());
    let enquiry = shown.enquiry;
    let turned = stage().changed(|p| p.enquiry = enquiry);
    assert_eq!(stage().verify(&turned), proof_error());
}

#[test]
fn attack_a_subject_changed_or_linkable() {
    assert_eq!(
        edited(|p| p.enquiry.as_mut().unwrap().subject.0[0] ^= 1),
        proof_error()
    );
    // N as `sub` would tell the audience what only the decision committee may count.
    let n: Bytes32 = (*enquiry().1.pseudonym.as_bytes()).into();
    let leak = edited(|p| p.enquiry.as_mut().unwrap().subject = n);
    assert_eq!(leak, Err(PresentationError::Subject));
    let mut prover = enquirer(INSURER, 11);
    prover.context.enquiry.as_mut().unwrap().subject = n;
    assert_eq!(prover.prove(), Err(PresentationError::Subject));
}

#[test]
fn two_presentations_of_one_owner_to_two_insurers_share_nothing() {
    let one = enquirer("insurer.one", 21).prove().unwrap();
    let two = enquirer("insurer.two", 22).prove().unwrap();
    let same = enquirer("insurer.one", 23).prove().unwrap();
    assert_eq!(
        one.pseudonym, same.pseudonym,
        "one owner at one insurer in one month is counted once"
    );
    // Every byte string of 32 bytes and more, wherever it stands: proof and path elements too.
    let strings = |shown: &Presentation| -> HashSet<Vec<u8>> {
        fn walk(value: &serde_json::Value, found: &mut HashSet<Vec<u8>>) {
            match value {
                serde_json::Value::String(text) => {
                    if let Ok(bytes) = crate::encoding::from_base64url(text) {
                        found.extend(bytes.windows(16).map(<[u8]>::to_vec));
                    }
                }
                serde_json::Value::Array(all) => all.iter().for_each(|one| walk(one, found)),
                serde_json::Value::Object(all) => all.values().for_each(|one| walk(one, found)),
                _ => {}
            }
        }
        let mut json = serde_json::to_value(shown).unwrap();
        let public = json.as_object_mut().unwrap();
        for public_to_all in ["contract", "jurisdiction", "as_of", "verdict", "nonces"] {
            public.remove(public_to_all);
        }
        let mut found = HashSet::new();
        walk(&json, &mut found);
        found
    };
    let (first, second) = (strings(&one), strings(&two));
    assert!(first.len() > 1_000);
    assert_eq!(first.intersection(&second).count(), 0);
    // What the insurers see of them.
    assert_ne!(one.subject(), two.subject());
    assert_ne!(one.subject(), same.subject());
    assert_ne!(one.cnf, two.cnf);
}

#[test]
fn every_part_of_an_enquiry_is_in_the_transcript_by_itself() {
    let challenge = |presentation: &Presentation| {
        let mut bytes = [0; 32];
        bind::transcript(presentation).challenge_bytes(b"test", &mut bytes);
        bytes
    };
    let (_, shown) = enquiry();
    let point = Point::new(PEDERSEN.B).unwrap();
    let changes: [&dyn Fn(&mut Presentation); 4] = [
        &|p| p.enquiry = None,
        &|p| p.pseudonym = point,
        &|p| p.enquiry.as_mut().unwrap().subject.0[9] ^= 1,
        &|p| p.enquiry.as_mut().unwrap().period = "2026-12-01/2026-12-31".parse().unwrap(),
    ];
    for (index, change) in changes.iter().enumerate() {
        let mut changed = shown.clone();
        change(&mut changed);
        assert_ne!(challenge(&changed), challenge(shown), "change {index}");
    }
}
