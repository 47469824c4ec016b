//! Addresses that are part of the index of a table.

/// Converts the numbers of an index to the `N` octets of an address; `None` if their
/// count is not `N`, or one is greater than 255.
pub(crate) fn octets_of<const N: usize>(index: &[u32]) -> Option<[u8; N]> {
    let numbers = <[u32; N]>::try_from(index).ok()?;
    let mut octets = [0; N];
    for (octet, number) in octets.iter_mut().zip(numbers) {
        *octet = u8::try_from(number).ok()?;
    }
    Some(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_in_an_index_has_all_its_octets() {
        assert_eq!(octets_of(&[10, 0, 0, 255]), Some([10, 0, 0, 255]));
        assert_eq!(octets_of::<4>(&[10, 0, 0]), None);
        assert_eq!(octets_of::<4>(&[10, 0, 0, 256]), None);
    }
}
