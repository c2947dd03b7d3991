//! What each program may take of a board; a row that takes more is a failure. A budget is a little above what was measured, so
//! that growth is seen where it happens, and never above the project's bar.

use super::Row;
use super::boards::{M0, M3, M4F, RISCV};
use super::table::thousands;

/// Limits of a row; of one without such figures, 0.
struct Budget {
    target: &'static str,
    what: &'static str,
    code: u64,
    model: u64,
    ram: u64,
    instructions: u64,
}

impl Budget {
    /// `[code, model, RAM]` and instructions.
    const fn new(
        target: &'static str,
        what: &'static str,
        [code, model, ram]: [u64; 3],
        instructions: u64,
    ) -> Self {
        Self { target, what, code, model, ram, instructions }
    }
}

const BUDGETS: &[Budget] = &[
    Budget::new(M4F, "article, plain Rust", [20_000, 7_000, 3_600], 300_000),
    Budget::new(M4F, "article, plain Rust, noise", [0; 3], 460_000),
    Budget::new(M4F, "article, SMLAD", [20_000, 7_000, 3_400], 200_000),
    Budget::new(M4F, "article, SMLAD, noise", [0; 3], 290_000),
    Budget::new(M3, "article, no FPU", [22_000, 7_000, 3_600], 515_000),
    Budget::new(M3, "article, no FPU, noise", [0; 3], 950_000),
    Budget::new(M0, "article, no FPU", [24_000, 7_000, 3_800], 920_000),
    Budget::new(M0, "article, no FPU, noise", [0; 3], 1_670_000),
    Budget::new(RISCV, "article, no FPU", [27_000, 7_000, 3_500], 565_000),
    Budget::new(RISCV, "article, no FPU, noise", [0; 3], 1_040_000),
    Budget::new(M4F, "keywords, plain Rust", [25_000, 27_000, 21_000], 43_500_000),
    Budget::new(M4F, "keywords, plain Rust, noise", [0; 3], 43_500_000),
    Budget::new(M4F, "keywords, SMLAD", [25_000, 27_000, 21_000], 12_300_000),
    Budget::new(M4F, "keywords, SMLAD, noise", [0; 3], 12_300_000),
];

/// A line for each limit that is exceeded, and for each row with figures that has none.
pub(super) fn judge(rows: &[Row]) -> Vec<String> {
    rows.iter().flat_map(|row| against(row, BUDGETS)).collect()
}

fn against(row: &Row, budgets: &[Budget]) -> Vec<String> {
    let name = format!("{}, {}", row.target, row.what);
    let Some(budget) = budgets.iter().find(|b| b.target == row.target && b.what == row.what) else {
        let has_figures = row.code.is_some() || row.instructions.is_some();
        return if has_figures { vec![format!("{name}: has no budget")] } else { Vec::new() };
    };
    let limits = [
        ("code", row.code, budget.code),
        ("model", row.model, budget.model),
        ("RAM", row.ram, budget.ram),
        ("instructions", row.instructions, budget.instructions),
    ];
    let exceeded = limits.into_iter().filter_map(|(what, found, limit)| {
        let found = found.filter(|&found| found > limit)?;
        let (limit, found) = (thousands(limit), thousands(found));
        Some(format!("{name}: {what}: at most {limit}, found {found}"))
    });
    exceeded.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_is_named() {
        let budgets =
            [Budget { target: "t", what: "w", code: 10, model: 20, ram: 30, instructions: 4000 }];
        let row = |what: &str, code, instructions| Row {
            target: "t".into(),
            what: what.into(),
            code,
            model: Some(20),
            ram: Some(30),
            stack: Some(99),
            instructions,
            matches: String::new(),
        };
        assert_eq!(against(&row("w", Some(10), Some(4000)), &budgets), [""; 0]);
        assert_eq!(
            against(&row("w", Some(11), Some(4001)), &budgets),
            ["t, w: code: at most 10, found 11", "t, w: instructions: at most 4,000, found 4,001"]
        );
        assert_eq!(against(&row("x", Some(1), None), &budgets), ["t, x: has no budget"]);
        assert_eq!(against(&row("x", None, None), &budgets), [""; 0]);
    }

    #[test]
    fn no_budget_is_above_the_projects_bar() {
        for budget in BUDGETS.iter().filter(|b| b.target == M4F && b.what.starts_with("article")) {
            let bar = if budget.what.contains("SMLAD") { 290_000 } else { 520_000 };
            assert!(budget.code <= 20_000 && budget.model <= 7_000 && budget.ram <= 4_000);
            assert!(budget.what.ends_with("noise") || budget.instructions <= bar);
        }
    }
}
