//! Text tables with aligned columns.

/// The space between two columns.
const GAP: usize = 2;
/// The width to which names are wrapped, if need be, ...
const NAME: usize = 20;
/// ... to leave the last column this width.
const TEXT: usize = 40;
/// The least width of the last column.
const LEAST: usize = 20;

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
#[cfg(any(feature = "rrd", feature = "snmp"))]
pub(crate) fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(width.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// Renders a table without the columns that are empty in every row, at most `width` wide: the
/// last cells, which are texts, are wrapped, and if that leaves them too little room also those
/// of the column `name`. Without a width, lines are as long as they must be. Nothing is cut off.
pub(crate) fn render_wrapped(
    head: &[&str],
    rows: &[Vec<String>],
    name: usize,
    width: Option<usize>,
) -> String {
    let last = head.len() - 1;
    let width_of = |at: usize| {
        let cells = rows.iter().map(|row| row[at].chars().count());
        match cells.max().unwrap_or(0) {
            0 => 0, // an empty column is left out
            cells => cells.max(head[at].chars().count()) + GAP,
        }
    };
    let others = (0..last).filter(|at| *at != name).map(width_of).sum::<usize>();
    let (names, texts) = (width_of(name), width_of(last).saturating_sub(GAP));
    let Some(width) = width.filter(|width| others + names + texts > *width) else {
        return render_filled(head, rows);
    };
    let room = width.saturating_sub(others);
    let names = names.min(room.saturating_sub(texts.min(TEXT)).max(NAME + GAP));
    let texts = room.saturating_sub(names).max(LEAST);
    let wrapped = rows.iter().flat_map(|row| {
        let mut names = wrap(&row[name], names.saturating_sub(GAP).max(1)).into_iter();
        let mut texts = wrap(&row[last], texts).into_iter();
        let mut row = row.clone();
        let mut lines = Vec::new();
        loop {
            let (name_line, text_line) = (names.next(), texts.next());
            if name_line.is_none() && text_line.is_none() {
                return lines;
            }
            row[name] = name_line.unwrap_or_default();
            row[last] = text_line.unwrap_or_default();
            let rest = vec![String::new(); row.len()];
            lines.push(std::mem::replace(&mut row, rest));
        }
    });
    render_filled(head, &wrapped.collect::<Vec<_>>())
}

/// Breaks a text into lines of at most `width` characters: between words, and within a word that
/// is longer than a line.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut room = width;
    for word in text.split(' ') {
        let mut rest: Vec<char> = word.chars().collect();
        let is_first = lines.last().is_some_and(String::is_empty) && room == width;
        let gap = usize::from(!is_first);
        if rest.len() + gap <= room {
            let line = lines.last_mut().expect("there is a line");
            line.extend(std::iter::repeat_n(' ', gap).chain(rest.iter().copied()));
            room -= rest.len() + gap;
            continue;
        }
        if !is_first {
            lines.push(String::new());
        }
        while rest.len() > width {
            let tail = rest.split_off(width);
            lines.last_mut().expect("there is a line").extend(rest);
            lines.push(String::new());
            rest = tail;
        }
        room = width - rest.len();
        lines.last_mut().expect("there is a line").extend(rest);
    }
    lines
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
    fn the_last_column_is_wrapped_and_nothing_is_cut() {
        let head = ["NAME", "SINCE", "REASON"];
        let reason = "connect: no route to host (see https://192.0.2.1/a/very/long/path/that/has/no/end)";
        let rows = vec![
            vec!["web".into(), String::new(), reason.into()],
            vec!["nas".into(), String::new(), "refused".into()],
        ];
        assert_eq!(
            super::render_wrapped(&head, &rows, 0, None),
            format!("NAME  REASON\nweb   {reason}\nnas   refused")
        );
        assert_eq!(
            super::render_wrapped(&head, &rows, 0, Some(50)),
            "NAME  REASON\n\
             web   connect: no route to host (see\n      \
             https://192.0.2.1/a/very/long/path/that/has/\n      \
             no/end)\n\
             nas   refused"
        );
        // Beside long names there is too little room.
        let rows = vec![
            vec![
                "a-name-of-29-letters-is-long!".into(),
                "14:00:00".into(),
                reason.into(),
            ],
            vec!["nas".into(), "14:00:00".into(), "refused".into()],
        ];
        assert_eq!(
            super::render_wrapped(&head, &rows, 0, Some(75)),
            "NAME                     SINCE     REASON\n\
             a-name-of-29-letters-is  14:00:00  connect: no route to host (see\n\
             -long!                             https://192.0.2.1/a/very/long/path/that/\n                                   \
             has/no/end)\n\
             nas                      14:00:00  refused"
        );
    }

    #[test]
    fn a_text_is_wrapped_between_words() {
        for (text, width, lines) in [
            ("", 3, vec![""]),
            ("ab cd", 5, vec!["ab cd"]),
            ("ab cd", 4, vec!["ab", "cd"]),
            ("abcdefg h", 3, vec!["abc", "def", "g h"]),
            ("ö  ü", 4, vec!["ö  ü"]),
        ] {
            assert_eq!(super::wrap(text, width), lines, "{text}");
        }
    }

    #[cfg(feature = "snmp")]
    #[test]
    fn long_text_is_cut() {
        for (text, width, expected) in [("öäü", 3, "öäü"), ("öäüß", 3, "öä…"), ("ab", 1, "…"), ("", 0, "")]
        {
            assert_eq!(super::cut(text, width), expected);
        }
    }
}
