//! What a matching that knows nothing scores: the fixed points of a random permutation, one on average however many owners.

/// Probability that a random permutation of `n` has at least `hits` fixed points.
pub(super) fn tail(n: usize, hits: usize) -> f64 {
    (hits..=n).map(|k| exactly(n, k)).sum()
}

/// `P(k) = 1/k! · Σ (−1)^i / i!` for `i` from 0 to `n − k`.
fn exactly(n: usize, k: usize) -> f64 {
    let (mut term, mut sum) = (1.0, 0.0);
    for i in 0..=n.saturating_sub(k) {
        if i > 0 {
            term /= -(i as f64);
        }
        sum += term;
    }
    sum * (1..=k).map(|i| 1.0 / i as f64).product::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_points_of_three_are_those_that_can_be_counted() {
        for (hits, of_six) in [(0, 6.0), (1, 4.0), (2, 1.0), (3, 1.0)] {
            assert!((tail(3, hits) - of_six / 6.0).abs() < 1e-12, "{hits}");
        }
    }

    #[test]
    fn of_many_it_is_poissons_tail_with_mean_one() {
        let poisson = 1.0 - (-1.0_f64).exp() * (1.0 + 1.0 + 0.5 + 1.0 / 6.0);
        assert!((tail(100, 4) - poisson).abs() < 1e-9);
        assert!(tail(100, 12) < 1e-9);
    }
}
