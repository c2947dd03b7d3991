//! What each program may take of a board; a row that takes more is a failure. A budget is a little above what was measured, so
//! that growth is seen where it happens, and never above the project's bar.

use super::Row;
use super::table::thousands;

/// Limits of a row.
struct Budget {
    target: &'static str,
    what: &'static str,
    code: u64,
    model: u64,
    ram: u64,
    instructions: u64,
}

const BUDGETS: &[Budget] = &[];

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
}
