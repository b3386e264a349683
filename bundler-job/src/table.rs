//! Tables for people: columns that line up.

/// A table. The first columns are texts, which stand left, and the others numbers, which stand right.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
    /// Number of columns that stand left.
    left: usize,
}

impl Table {
    /// A table with these titles, of whose columns the first `left` stand left.
    pub(crate) fn new<const N: usize>(titles: [&str; N], left: usize) -> Self {
        Self {
            rows: vec![titles.map(str::to_owned).to_vec()],
            left,
        }
    }

    /// Adds a row.
    pub(crate) fn row<const N: usize>(&mut self, row: [String; N]) {
        self.rows.push(row.into());
    }

    /// As lines, each indented by two spaces.
    pub(crate) fn text(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<_> = (0..columns)
            .map(|at| {
                let cells = self.rows.iter().filter_map(|row| row.get(at));
                cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
            })
            .collect();
        let mut text = String::new();
        for row in &self.rows {
            let cells = row.iter().zip(&widths).enumerate();
            let cells = cells.map(|(at, (cell, width))| {
                if at < self.left {
                    format!("{cell:<width$}")
                } else {
                    format!("{cell:>width$}")
                }
            });
            let line = cells.collect::<Vec<_>>().join("  ");
            text.push_str("  ");
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(["class", "x", "dollars"], 2);
        table.row(["A".to_owned(), "yes".to_owned(), "$1.00".to_owned()]);
        table.row(["LONGER".to_owned(), String::new(), "$1,000.00".to_owned()]);
        insta::assert_snapshot!(table.text(), @r"
          class   x      dollars
          A       yes      $1.00
          LONGER       $1,000.00
        ");
    }
}
