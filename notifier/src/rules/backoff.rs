//! How long a hand-over that failed waits.

use rand::Rng;

/// Longest wait, seconds.
const MAX: i64 = 300;

/// Seconds until attempt `attempts + 1`: `base` doubled per attempt, at most 300 s, of which a random half is waited at least, so
/// that texts that failed together do not come back together.
pub fn wait(base: i64, attempts: i64, random: &mut impl Rng) -> i64 {
    let doubled = u32::try_from(attempts.saturating_sub(1))
        .ok()
        .and_then(|times| base.max(1).checked_shl(times.min(30)));
    let full = doubled.unwrap_or(MAX).clamp(1, MAX);
    random.gen_range((full + 1) / 2..=full)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;

    #[test]
    fn waits_double_are_jittered_and_end() {
        let mut random = rand::rngs::StdRng::seed_from_u64(1);
        for (attempts, least, most) in [
            (1, 1, 2),
            (2, 2, 4),
            (3, 4, 8),
            (9, 150, 300),
            (500, 150, 300),
        ] {
            let waits: Vec<i64> = (0..200).map(|_| wait(2, attempts, &mut random)).collect();
            assert!(
                waits.iter().all(|wait| (least..=most).contains(wait)),
                "{attempts}"
            );
            assert!(
                waits.iter().min() < waits.iter().max(),
                "{attempts}: no jitter"
            );
        }
    }
}
