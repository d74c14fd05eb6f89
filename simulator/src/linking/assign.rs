//! The cheapest assignment of rows to columns: the Hungarian method with potentials, O(n³).

/// For each row of a square matrix, its column.
#[allow(
    clippy::needless_range_loop,
    reason = "rows and columns are numbers in the method"
)]
pub(super) fn cheapest(costs: &[Vec<f64>]) -> Vec<usize> {
    let n = costs.len();
    let at = |row: usize, column: usize| -> f64 {
        let row = row.checked_sub(1).and_then(|row| costs.get(row));
        row.and_then(|row| row.get(column - 1))
            .copied()
            .unwrap_or(0.0)
    };
    // Rows and columns count from 1; 0 stands for none.
    let (mut of_row, mut of_column) = (vec![0.0; n + 1], vec![0.0; n + 1]);
    let mut taken = vec![0; n + 1];
    let mut way = vec![0; n + 1];
    for row in 1..=n {
        taken[0] = row;
        let mut column = 0;
        let mut least = vec![f64::INFINITY; n + 1];
        let mut used = vec![false; n + 1];
        loop {
            used[column] = true;
            let from = taken[column];
            let (mut delta, mut next) = (f64::INFINITY, 0);
            for to in 1..=n {
                if used[to] {
                    continue;
                }
                let reduced = at(from, to) - of_row[from] - of_column[to];
                if reduced < least[to] {
                    (least[to], way[to]) = (reduced, column);
                }
                if least[to] < delta {
                    (delta, next) = (least[to], to);
                }
            }
            for to in 0..=n {
                if used[to] {
                    of_row[taken[to]] += delta;
                    of_column[to] -= delta;
                } else {
                    least[to] -= delta;
                }
            }
            column = next;
            if taken[column] == 0 {
                break;
            }
        }
        while column != 0 {
            taken[column] = taken[way[column]];
            column = way[column];
        }
    }
    let mut found = vec![0; n];
    for (column, row) in taken.iter().enumerate().skip(1) {
        if let Some(found) = row.checked_sub(1).and_then(|row| found.get_mut(row)) {
            *found = column - 1;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng as _, SeedableRng as _};

    use super::*;

    fn cost(costs: &[Vec<f64>], columns: &[usize]) -> f64 {
        let pairs = costs.iter().zip(columns);
        pairs.map(|(row, column)| row[*column]).sum()
    }

    fn permutations(left: &[usize]) -> Vec<Vec<usize>> {
        if left.is_empty() {
            return vec![Vec::new()];
        }
        let mut all = Vec::new();
        for first in left {
            let rest: Vec<usize> = left.iter().copied().filter(|it| it != first).collect();
            for mut tail in permutations(&rest) {
                tail.insert(0, *first);
                all.push(tail);
            }
        }
        all
    }

    #[test]
    fn no_permutation_is_cheaper() {
        let mut draw = StdRng::seed_from_u64(1);
        for n in 1..=5 {
            let costs: Vec<Vec<f64>> = (0..n)
                .map(|_| (0..n).map(|_| draw.gen_range(0.0..9.0)).collect())
                .collect();
            let all: Vec<usize> = (0..n).collect();
            let least = permutations(&all)
                .iter()
                .map(|columns| cost(&costs, columns))
                .fold(f64::INFINITY, f64::min);
            assert!((cost(&costs, &cheapest(&costs)) - least).abs() < 1e-9);
        }
    }
}
