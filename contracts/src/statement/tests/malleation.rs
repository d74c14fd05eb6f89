//! Proofs whose parts are spelled otherwise, moved or repeated, and leaves in another order or of another flag.

use super::*;

const ELEMENT: usize = 32;
/// `ℓ`, little-endian (RFC 9496 §4).
const ORDER: [u8; ELEMENT] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

struct Proved {
    shape: Shape,
    public: Public,
    slacks: Vec<Point>,
    proof: Vec<u8>,
}

impl Proved {
    fn new(seed: u64) -> Self {
        let mut rng = rng(seed);
        let shape = Shape::new(&tree(), 3, 16).unwrap();
        let (public, secrets) = leaves(&[Some(20), Some(1), Some(9)], &mut rng);
        let (slacks, proof) = prove(&mut context(), &shape, &public, &secrets, &mut rng).unwrap();
        let proved = Self {
            shape,
            public,
            slacks,
            proof,
        };
        assert_eq!(proved.verify(&proved.proof), Ok(()));
        proved
    }

    fn verify(&self, proof: &[u8]) -> Result<(), StatementError> {
        verify(
            &mut context(),
            &self.shape,
            &self.public,
            &self.slacks,
            proof,
        )
    }
}

#[test]
fn attack_scalars_with_the_group_order_added() {
    let proved = Proved::new(50);
    for element in 0..proved.proof.len() / ELEMENT {
        let mut bytes = proved.proof.clone();
        let mut carry = 0u16;
        for (byte, order) in bytes[ELEMENT * element..][..ELEMENT].iter_mut().zip(ORDER) {
            carry += u16::from(*byte) + u16::from(order);
            *byte = carry as u8;
            carry >>= 8;
        }
        let refused = proved.verify(&bytes);
        let parsed = matches!(
            refused,
            Err(StatementError::Encoding | StatementError::Range)
        );
        // A point that happens to decode again fails the equations; a scalar never gets so far.
        let scalar = element >= proved.proof.len() / ELEMENT - 3 - proved.shape.selectors();
        assert!(refused.is_err() && (parsed || !scalar), "element {element}");
    }
}

#[test]
fn attack_elements_of_a_proof_reordered_or_repeated() {
    let proved = Proved::new(51);
    let count = proved.proof.len() / ELEMENT;
    for first in 0..count {
        for second in [first + 1, count - 1 - first / 2] {
            if second == first || second >= count {
                continue;
            }
            let (mut swapped, mut repeated) = (proved.proof.clone(), proved.proof.clone());
            for at in 0..ELEMENT {
                swapped.swap(ELEMENT * first + at, ELEMENT * second + at);
            }
            repeated.copy_within(ELEMENT * first..ELEMENT * (first + 1), ELEMENT * second);
            for changed in [swapped, repeated] {
                assert!(proved.verify(&changed).is_err(), "{first} and {second}");
            }
        }
    }
}

#[test]
fn attack_elements_of_another_proof_of_the_same_statement() {
    let (mut rng, shape) = (rng(52), Shape::new(&tree(), 3, 16).unwrap());
    let (public, secrets) = leaves(&[Some(20), Some(1), Some(9)], &mut rng);
    let mut once = || prove(&mut context(), &shape, &public, &secrets, &mut rng).unwrap();
    let ((slacks, proof), (_, other)) = (once(), once());
    for element in 0..proof.len() / ELEMENT {
        let mut mixed = proof.clone();
        let range = ELEMENT * element..ELEMENT * (element + 1);
        mixed[range.clone()].copy_from_slice(&other[range]);
        let verdict = verify(&mut context(), &shape, &public, &slacks, &mixed);
        assert!(verdict.is_err(), "element {element}");
    }
}

#[test]
fn attack_leaves_swapped_or_missing() {
    let proved = Proved::new(53);
    for (a, b) in [(0, 1), (0, 2), (1, 2)] {
        let mut public = proved.public.clone();
        public.leaves.swap(a, b);
        let verdict = verify(
            &mut context(),
            &proved.shape,
            &public,
            &proved.slacks,
            &proved.proof,
        );
        assert!(verdict.is_err(), "{a} and {b}");
    }
    // A prover who binds the leaves as swapped, and holds what opens them in the right order.
    let mut rng = rng(54);
    let shape = Shape::new(&ge(&[(0, 1)], -18), 2, 8).unwrap();
    let (mut public, secrets) = leaves(&[Some(20), Some(0)], &mut rng);
    public.leaves.swap(0, 1);
    let (slacks, proof) =
        prove_unchecked(&mut context(), &shape, &public, &secrets, &mut rng).unwrap();
    let verdict = verify(&mut context(), &shape, &public, &slacks, &proof);
    assert_eq!(verdict, Err(StatementError::Proof));
    public.leaves.truncate(1);
    let verdict = verify(&mut context(), &shape, &public, &slacks, &proof);
    assert!(matches!(verdict, Err(StatementError::Count { .. })));
}

#[test]
fn attack_a_value_whose_fact_is_not_known() {
    // The leaf says known = 0 and yet hides a value that would do.
    let mut rng = rng(55);
    for tree in [ge(&[(0, 1)], -18), eq(&[(0, 1)], -30)] {
        let shape = Shape::new(&tree, 1, 8).unwrap();
        let (mut public, mut secrets) = leaves(&[Some(30)], &mut rng);
        secrets.leaves[0].known = false;
        public.leaves[0].known = commit(&secrets.leaves[0], &Scalar::ONE).known;
        let refused = prove(&mut context(), &shape, &public, &secrets, &mut rng);
        assert_eq!(refused, Err(StatementError::Unsatisfied));
        secrets.leaves[0].known = true;
        let (slacks, proof) =
            prove_unchecked(&mut context(), &shape, &public, &secrets, &mut rng).unwrap();
        let verdict = verify(&mut context(), &shape, &public, &slacks, &proof);
        assert_eq!(verdict, Err(StatementError::Proof));
    }
}
