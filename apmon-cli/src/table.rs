//! Text tables with aligned columns.

/// The width that tables are cut to fit, as far as they can be cut.
pub(crate) const WIDTH: usize = 100;
/// The least width to which names are cut; beyond that the last column is cut.
const NAME: usize = 20;

/// Renders a table: the header, then the rows; columns are as wide as their widest
/// cell.
pub(crate) fn render(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = head.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut text = String::new();
        for (cell, width) in cells.zip(&widths) {
            text.push_str(cell);
            let gap = width + 2 - cell.chars().count();
            text.extend(std::iter::repeat_n(' ', gap));
        }
        text.trim_end().to_owned()
    };
    let mut lines = vec![line(&mut head.iter().copied())];
    lines.extend(rows.iter().map(|row| line(&mut row.iter().map(String::as_str))));
    lines.join("\n")
}

/// Renders a table without the columns that are empty in every row.
pub(crate) fn render_filled(head: &[&str], rows: &[Vec<String>]) -> String {
    let filled: Vec<bool> = (0..head.len())
        .map(|at| {
            rows.iter()
                .any(|row| row.get(at).is_some_and(|cell| !cell.is_empty()))
        })
        .collect();
    let mut keep = filled.iter();
    let head: Vec<_> = head
        .iter()
        .copied()
        .filter(|_| keep.next() == Some(&true))
        .collect();
    let keep_cells = |row: &Vec<String>| {
        let cells = row.iter().zip(&filled).filter(|(_, keep)| **keep);
        cells.map(|(cell, _)| cell.clone()).collect()
    };
    let rows: Vec<Vec<String>> = rows.iter().map(keep_cells).collect();
    render(&head, &rows)
}

/// Cuts `text` to `width` characters, the last of which is `…` if any were cut.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(width.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// Cuts the cells of two columns so that no line is wider than [`WIDTH`]: the names
/// down to [`NAME`], then the last column.
pub(crate) fn fit(head: &[&str], rows: &mut [Vec<String>], name: usize, last: usize) {
    let width = |at: usize| {
        let cells = rows.iter().map(|row| row[at].chars().count());
        match cells.max().unwrap_or(0) {
            0 => 0, // an empty column is left out
            width => width.max(head[at].chars().count()) + 2,
        }
    };
    let others = (0..head.len()).filter(|at| *at != name && *at != last);
    let room = (WIDTH + 2).saturating_sub(others.map(&width).sum());
    let names = width(name).min(room.saturating_sub(width(last)).max(NAME + 2));
    let rest = room.saturating_sub(names);
    for row in rows {
        row[name] = cut(&row[name], names.saturating_sub(2));
        row[last] = cut(&row[last], rest.saturating_sub(2));
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn columns_line_up() {
        let rows = vec![
            vec!["web".into(), "http".into()],
            vec!["a-long-name".into(), "tcp".into()],
        ];
        assert_eq!(
            super::render(&["NAME", "TYPE"], &rows),
            "NAME         TYPE\nweb          http\na-long-name  tcp"
        );
    }

    #[test]
    fn an_empty_column_is_left_out() {
        let rows = vec![
            vec!["web".into(), String::new(), "up".into()],
            vec!["nas".into(), String::new(), String::new()],
        ];
        assert_eq!(
            super::render_filled(&["NAME", "REASON", "STATE"], &rows),
            "NAME  STATE\nweb   up\nnas"
        );
    }

    #[test]
    fn long_text_is_cut() {
        for (text, width, expected) in [("öäü", 3, "öäü"), ("öäüß", 3, "öä…"), ("ab", 1, "…"), ("", 0, "")]
        {
            assert_eq!(super::cut(text, width), expected);
        }
    }
}
