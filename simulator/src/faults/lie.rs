//! How a lying node alters what its honest half would have said. Pure: bytes in, bytes out.

use contracts::encoding::{Blob, from_base64url, to_base64url};
use contracts::group::Point;
use contracts::ids::NodeId;
use curve25519_dalek::constants::RISTRETTO_BASEPOINT_POINT;
use frost_secp256k1::keys::SigningShare;
use frost_secp256k1::keys::dkg::round2;
use oracles::ceremony::dkg::{Plan, Round1, Round2, Round2Request, Verdict, share_info};
use oracles::ceremony::oprf::Evaluation;
use oracles::hpke;
use oracles::keys::NodeIdentity;
use rand::RngCore as _;
use rand::rngs::OsRng;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::fault::Fault;

/// More than any peer topic takes, in bytes.
const TOO_MUCH: usize = 3 << 20;

/// One message of a lying node.
pub struct Said<'a> {
    /// The topic.
    pub topic: &'static str,
    /// The node at the other end.
    pub other: NodeId,
    /// What was asked.
    pub asked: &'a [u8],
    /// The honest answer.
    pub honest: &'a [u8],
    /// The first honest answer of the topic, where there was one before.
    pub first: Option<&'a [u8]>,
    /// Signs as the liar.
    pub identity: &'a NodeIdentity,
}

impl Said<'_> {
    /// What is answered in its place; none where this fault leaves the topic alone.
    pub fn altered(&self, fault: Fault) -> Option<Vec<u8>> {
        match fault {
            Fault::WrongShare => self.wrong_share(),
            Fault::BadNonce if self.topic == "dkg.round1" => self.wrong_proof(),
            Fault::BadNonce | Fault::IdentityNonce => self.bad_nonces(fault),
            Fault::ReusedNonce => self.reused_nonces(),
            Fault::Equivocate if self.other.get() % 2 == 1 => self.another_story(),
            Fault::Replay => self.first.map(<[u8]>::to_vec),
            Fault::Oversized => Some(oversized(self.honest)),
            Fault::Garbage => Some(garbage()),
            Fault::OtherType => Some(other_type()),
            Fault::LyingCoordinator if self.topic == "attest.lead" => one_place(self.honest),
            _ => None,
        }
    }

    fn wrong_share(&self) -> Option<Vec<u8>> {
        match self.topic {
            // The scalar's lowest bit in little-endian suites, a high one in big-endian ones: canonical either way.
            "sign.share" => edit(self.honest, |answer| {
                for share in answer.get_mut("shares")?.as_array_mut()? {
                    let mut bytes = from_base64url(share.as_str()?).ok()?;
                    *bytes.first_mut()? ^= 1;
                    *share = to_base64url(bytes).into();
                }
                Some(())
            }),
            "enrol.share" => {
                let mut answer: Evaluation = parse(self.honest)?;
                answer.element =
                    Point::new(answer.element.point() + RISTRETTO_BASEPOINT_POINT).ok()?;
                json(&answer)
            }
            "dkg.round2" => self.wrong_key_share(),
            _ => None,
        }
    }

    /// A share that is a share of nothing, sealed and signed as an honest one. Only for the secp256k1 keys.
    fn wrong_key_share(&self) -> Option<Vec<u8>> {
        let Round2Request { plan, round1 } = parse(self.asked)?;
        let Verdict::Good(mut answer) = parse::<Verdict<Round2>>(self.honest)? else {
            return None;
        };
        let victim = answer.shares.first_mut()?;
        let session_key = round1.iter().find(|it| it.node == victim.to)?.session_key;
        let mut scalar = [0u8; 32];
        OsRng.fill_bytes(&mut scalar[1..]);
        let share = round2::Package::new(SigningShare::deserialize(&scalar).ok()?);
        let hash = plan.hash();
        let info = share_info(&hash, answer.node, victim.to);
        victim.sealed = hpke::seal(&session_key, &info, b"", &share.serialize().ok()?).ok()?;
        json(&Verdict::Good(answer.sign(&hash, self.identity)))
    }

    /// A round-1 package whose proof of knowledge is off, signed.
    fn wrong_proof(&self) -> Option<Vec<u8>> {
        let plan: Plan = parse(self.asked)?;
        let mut answer: Round1 = parse(self.honest)?;
        let Blob(package) = &mut answer.package;
        *package.last_mut()? ^= 1;
        json(&answer.sign(&plan.hash(), self.identity))
    }

    fn bad_nonces(&self, fault: Fault) -> Option<Vec<u8>> {
        (self.topic == "sign.commit").then_some(())?;
        edit(self.honest, |answer| {
            for commitments in answer.get_mut("commitments")?.as_array_mut()? {
                let mut bytes = from_base64url(commitments.as_str()?).ok()?;
                // Five bytes of version and suite, then two points of one length.
                let (_, points) = bytes.split_at_mut_checked(5)?;
                if fault == Fault::BadNonce {
                    OsRng.fill_bytes(points);
                } else {
                    let point = points.len() / 2;
                    points.fill(0);
                    // Ed25519 encodes the identity as 1; SEC 1 has no compressed form of it but zeros.
                    if point == 32 {
                        for identity in points.chunks_mut(point) {
                            *identity.first_mut()? = 1;
                        }
                    }
                }
                *commitments = to_base64url(bytes).into();
            }
            Some(())
        })
    }

    fn reused_nonces(&self) -> Option<Vec<u8>> {
        (self.topic == "sign.commit").then_some(())?;
        let first: Value = parse(self.first?)?;
        edit(self.honest, |answer| {
            let old = first.get("commitments")?;
            let same = old.as_array()?.len() == answer.get("commitments")?.as_array()?.len();
            *answer.get_mut("commitments").filter(|_| same)? = old.clone();
            Some(())
        })
    }

    fn another_story(&self) -> Option<Vec<u8>> {
        match self.topic {
            "sign.commit" => edit(self.honest, |answer| turn(answer.get_mut("digest")?)),
            "attest.acks" => edit(self.honest, |answer| {
                let requests = answer.get_mut("requests")?.as_array_mut()?;
                let leaf = requests
                    .iter_mut()
                    .find_map(|leaves| leaves.as_array_mut()?.first_mut())?;
                turn(leaf.as_array_mut()?.last_mut()?)
            }),
            _ => one_place(self.honest),
        }
    }
}

/// What is asked of a node in place of the honest question; none where this fault leaves it alone.
pub fn altered_request(
    fault: Fault,
    to: NodeId,
    honest: &[u8],
    first: Option<&[u8]>,
) -> Option<Vec<u8>> {
    match fault {
        Fault::Equivocate if to.get() % 2 == 1 => one_place(honest),
        Fault::Replay => first.map(<[u8]>::to_vec),
        Fault::Oversized => Some(oversized(honest)),
        Fault::Garbage => Some(garbage()),
        Fault::OtherType => Some(other_type()),
        _ => None,
    }
}

/// The honest bytes in more bytes than allowed: white space before JSON changes nothing else.
fn oversized(honest: &[u8]) -> Vec<u8> {
    let mut bytes = vec![b' '; TOO_MUCH];
    bytes.extend_from_slice(honest);
    bytes
}

/// Random bytes.
pub fn garbage() -> Vec<u8> {
    let mut bytes = vec![0; 200];
    OsRng.fill_bytes(&mut bytes);
    bytes
}

/// JSON of no message of the network.
pub fn other_type() -> Vec<u8> {
    br#"{"resourceType":"Bundle","entry":[{"total":1}]}"#.to_vec()
}

/// JSON with one random string of key or hash length changed, in its form still what it was; none without such a string.
pub fn one_place(honest: &[u8]) -> Option<Vec<u8>> {
    edit(honest, |answer| {
        let mut count = 0;
        visit(answer, &mut |_| {
            count += 1;
            false
        });
        let chosen = usize::try_from(OsRng.next_u32()).ok()?.checked_rem(count)?;
        let mut at = 0;
        visit(answer, &mut |value| {
            at += 1;
            at == chosen + 1 && turn(value).is_some()
        })
        .then_some(())
    })
}

/// Calls `f` for every string of at least 40 characters until it returns true.
fn visit(value: &mut Value, f: &mut impl FnMut(&mut Value) -> bool) -> bool {
    match value {
        Value::String(text) if text.len() >= 40 => f(value),
        Value::Array(items) => items.iter_mut().any(|item| visit(item, f)),
        Value::Object(fields) => fields.values_mut().any(|item| visit(item, f)),
        _ => false,
    }
}

/// Changes a character in the middle of a string of base64url; whatever it encodes, it keeps its length.
fn turn(value: &mut Value) -> Option<()> {
    let text = value.as_str()?;
    let middle = text.len() / 2;
    let changed: String = text
        .char_indices()
        .map(|(at, character)| match character {
            'A' if at == middle => 'B',
            _ if at == middle => 'A',
            other => other,
        })
        .collect();
    *value = changed.into();
    Some(())
}

fn edit(bytes: &[u8], f: impl FnOnce(&mut Value) -> Option<()>) -> Option<Vec<u8>> {
    let mut value: Value = parse(bytes)?;
    f(&mut value)?;
    json(&value)
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    serde_json::from_slice(bytes).ok()
}

fn json<T: Serialize>(value: &T) -> Option<Vec<u8>> {
    serde_json::to_vec(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_place_changes_one_string_and_nothing_else() {
        let key = to_base64url([7; 32]);
        let honest = serde_json::json!({"a": 1, "b": [key, "short"], "c": {"d": key}});
        let bytes = serde_json::to_vec(&honest).unwrap();
        for _ in 0..20 {
            let lied: Value = serde_json::from_slice(&one_place(&bytes).unwrap()).unwrap();
            assert_eq!((&lied["a"], &lied["b"][1]), (&honest["a"], &honest["b"][1]));
            let changed = [&lied["b"][0], &lied["c"]["d"]]
                .into_iter()
                .filter(|text| text.as_str() != Some(&key))
                .count();
            assert_eq!(changed, 1, "{lied}");
        }
        assert!(one_place(b"{\"a\":\"short\"}").is_none());
    }
}
