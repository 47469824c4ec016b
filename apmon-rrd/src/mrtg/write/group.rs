//! The group of web servers.

use std::fs;

/// The group that Debian's web servers run as.
pub(super) const WEB_SERVER: &str = "www-data";

/// The number of that group, if there is one. The file is read, and no service asked: a system
/// group is in the file, and a directory service may take its time.
pub(super) fn web_server() -> Option<u32> {
    number(&fs::read_to_string("/etc/group").ok()?)
}

fn number(file: &str) -> Option<u32> {
    let mut groups = file.lines().map(|line| line.split(':'));
    groups.find_map(|mut group| {
        let name = group.next()?;
        group.nth(1).filter(|_| name == WEB_SERVER)?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_is_found_by_its_name() {
        let file = "root:x:0:\n\nxwww-data:x:1:\nwww-data:x:33:mrtg\n";
        assert_eq!(number(file), Some(33));
        assert_eq!(number("www:x:33:www-data\n"), None);
        assert_eq!(number("www-data:x:many:\n"), None);
    }
}
