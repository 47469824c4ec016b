//! Finding the whole disks among a host's block devices.
//!
//! Traffic of a partition, a volume or an array is also traffic of the disks below it
//! and would be counted twice.

use std::collections::BTreeSet;

/// The prefixes, before a number, of the names of devices built on other devices or on
/// memory, and of removable media.
const NOT_DISKS: &[&str] = &[
    "bcache", "cd", "dm-", "drbd", "fd", "loop", "md", "pass", "ram", "scd", "sr", "zd", "zram",
];

/// The whole disks among the names of a host's block devices, without partitions of a
/// listed disk and without devices that are not disks. Partitions whose disk is not
/// listed (`xvda1` without `xvda`) count as disks.
pub(crate) fn whole_disks<'a>(names: &BTreeSet<&'a str>) -> BTreeSet<&'a str> {
    let disks = names.iter().copied();
    disks
        .filter(|name| !is_excluded(name) && !is_partition(name, names))
        .collect()
}

fn is_excluded(name: &str) -> bool {
    let mut prefixes = NOT_DISKS.iter().filter_map(|prefix| name.strip_prefix(prefix));
    prefixes.any(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) || is_path(name)
}

/// Whether the name is one of several paths to an NVMe disk, as `nvme0c1n1` is to
/// `nvme0n1`.
fn is_path(name: &str) -> bool {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    name.strip_prefix("nvme")
        .and_then(|rest| rest.split_once('c'))
        .and_then(|(disk, rest)| Some((disk, rest.split_once('n')?)))
        .is_some_and(|(disk, (path, space))| number(disk) && number(path) && number(space))
}

fn is_partition(name: &str, names: &BTreeSet<&str>) -> bool {
    let mut wholes = wholes(name).into_iter().flatten();
    wholes.any(|whole| names.contains(whole) || is_partition(whole, names))
}

/// The possible names of the device that contains a partition: `sda` for `sda1`,
/// `nvme0n1` for `nvme0n1p1`, `mmcblk0` for `mmcblk0boot0`, and `da0s1` for BSD's
/// `da0s1a`. Each is shorter than `name`.
fn wholes(name: &str) -> [Option<&str>; 2] {
    let numbered = |base: &&str| base.ends_with(|c: char| c.is_ascii_digit());
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    if stem.len() == name.len() {
        return [
            name.strip_suffix(|c| matches!(c, 'a'..='h')).filter(numbered),
            None,
        ];
    }
    let parted = stem
        .strip_suffix(['p', 's'])
        .or_else(|| stem.strip_suffix("boot"));
    [
        parted.filter(numbered),
        Some(stem).filter(|stem| stem.ends_with(|c: char| c.is_ascii_alphabetic())),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn wholes_are(names: &str, wholes: &str) {
        let names: BTreeSet<&str> = names.split_whitespace().collect();
        let expected: BTreeSet<&str> = wholes.split_whitespace().collect();
        assert_eq!(whole_disks(&names), expected);
    }

    #[test]
    fn partitions_of_a_listed_disk_are_not_counted() {
        for (names, wholes) in [
            ("sda sda1 sda2 sda15 sdaa sdaa1", "sda sdaa"),
            ("hda hda1", "hda"),
            ("vda vda1 vdb", "vda vdb"),
            ("xvda xvda1 xvdb", "xvda xvdb"),
            ("dasda dasda1", "dasda"),
            (
                "nvme0n1 nvme0n1p1 nvme0n1p2 nvme10n1 nvme1n2",
                "nvme0n1 nvme10n1 nvme1n2",
            ),
            (
                "mmcblk0 mmcblk0p1 mmcblk0p2 mmcblk0boot0 mmcblk1",
                "mmcblk0 mmcblk1",
            ),
            ("nbd0 nbd0p1 nbd1 nbd10", "nbd0 nbd1 nbd10"),
            ("cciss/c0d0 cciss/c0d0p1 cciss/c0d1", "cciss/c0d0 cciss/c0d1"),
            // BSD: slices, GPT, and letters below either.
            ("da0 da0s1 da0s1a da0p1 da1 da10", "da0 da1 da10"),
            ("ada0 ada0p2 ada1 vtbd0 vtbd0a", "ada0 ada1 vtbd0"),
            ("da0 da0s1a", "da0"),
            ("disk0 disk0s1 disk1", "disk0 disk1"),
        ] {
            wholes_are(names, wholes);
        }
    }

    #[test]
    fn partitions_count_if_their_disk_is_not_listed() {
        wholes_are("xvda1 xvda2 xvdb", "xvda1 xvda2 xvdb");
        wholes_are("nvme0n1p1", "nvme0n1p1");
    }

    #[test]
    fn devices_built_on_disks_or_memory_are_not_counted() {
        let names = "loop0 loop7 ram0 ram15 zram0 dm-0 dm-47 md0 md127 md0p1 sr0 scd0 fd0 cd0 pass0 zd16 \
                     drbd1 bcache0 nvme0c0n1 nvme0c1n1";
        wholes_are(names, "");
        wholes_are(&format!("{names} sda nvme0n1"), "sda nvme0n1");
    }

    #[test]
    fn names_that_only_resemble_excluded_ones_are_disks() {
        wholes_are(
            "mtdblock0 mtdblock1 rbd0 ramdisk fda",
            "mtdblock0 mtdblock1 rbd0 ramdisk fda",
        );
    }

    #[test]
    fn recorded_hosts_have_the_expected_disks() {
        for (names, wholes) in [
            // A Linux host, a Vyatta, an Isilon, a kernel in a virtual machine.
            ("fd0 sr0 sda sda1 sda2 dm-0 dm-1 dm-2", "sda"),
            ("ram0 loop0 sda sda1 sda2 sda3 sda4 sda5 sda6", "sda"),
            (
                "ad3 ad4 da1 da2 da10 da11 lnv8 pass0 pass1",
                "ad3 ad4 da1 da2 da10 da11 lnv8",
            ),
            ("loop0 loop1 vda zram0", "vda"),
        ] {
            wholes_are(names, wholes);
        }
    }

    #[test]
    fn unusual_names_are_classified_without_a_panic() {
        wholes_are("1 a a1 \u{fc}1 p1 0p1", "1 a \u{fc}1 p1 0p1");
    }
}
