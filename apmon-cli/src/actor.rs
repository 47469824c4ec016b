//! Who asks for an action, as it is recorded.

use apmon_core::Actor;
#[cfg(unix)]
use nix::unistd::{Uid, User};

/// The user of this process.
pub(crate) fn myself() -> Actor {
    #[cfg(unix)]
    let uid = Some(Uid::effective().as_raw());
    #[cfg(not(unix))]
    let uid = None;
    of(uid, "command line")
}

/// The user with this id, who asks by `means`.
pub(crate) fn of(uid: Option<u32>, means: &str) -> Actor {
    Actor {
        name: uid.map_or_else(|| "unknown".to_owned(), name_of),
        means: means.to_owned(),
    }
}

/// The user with this id, without the name.
pub(crate) fn numbered(uid: Option<u32>, means: &str) -> Actor {
    Actor {
        name: uid.map_or_else(|| "unknown".to_owned(), number),
        means: means.to_owned(),
    }
}

/// The name of a user; the number of one that has none here.
fn name_of(uid: u32) -> String {
    #[cfg(unix)]
    if let Ok(Some(user)) = User::from_uid(Uid::from_raw(uid)) {
        return user.name;
    }
    number(uid)
}

fn number(uid: u32) -> String {
    format!("uid {uid}")
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn users_are_recorded_by_name_and_others_by_number() {
        assert_eq!(of(Some(0), "socket").name, "root");
        assert_eq!(of(Some(4_000_000_000), "socket").name, "uid 4000000000");
        assert_eq!(of(None, "socket").name, "unknown");
    }
}
