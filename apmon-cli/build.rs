//! Lays out the program of the `dist` profile: the functions that a pass runs are placed next to
//! each other. Without that they lie all over the program, and the kernel, which maps 64 kB
//! around each page that is used, maps most of it in each pass.
//!
//! `cargo xtask layout` writes the list of these functions. Names that are no longer in the
//! program are ignored, so that an old list is a smaller gain and never a fault.

use std::{env, path::Path, process::Command};

/// The only target whose linker is known to read the list.
const TARGET: &str = "x86_64-unknown-linux-gnu";

fn main() {
    let order = format!("layout/{TARGET}.txt");
    println!("cargo::rerun-if-changed={order}");
    for name in ["APMON_LINK_MAP", "CARGO_ENCODED_RUSTFLAGS", "RUSTC_LINKER"] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    if !is("TARGET", TARGET) || !is("OPT_LEVEL", "s") || !links_with_lld() {
        return;
    }
    let folder = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    // `-Wl` separates its arguments by commas.
    if folder.contains(',') {
        return;
    }
    println!("cargo::rustc-link-arg-bins=-Wl,--no-warn-symbol-ordering");
    println!("cargo::rustc-link-arg-bins=-Wl,--symbol-ordering-file={folder}/{order}");
    // Where each function is, for the task that writes the list.
    if let Ok(map) = env::var("APMON_LINK_MAP") {
        println!("cargo::rustc-link-arg-bins=-Wl,-Map={map}");
    }
}

fn is(name: &str, value: &str) -> bool {
    env::var(name).is_ok_and(|found| found == value)
}

/// Whether rustc links with its own lld: it does for this target unless it was built without it
/// (as by some distributions), or is set to use another linker.
fn links_with_lld() -> bool {
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    if env::var_os("RUSTC_LINKER").is_some() || flags.contains("link") {
        return false;
    }
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).args(["--print", "sysroot"]).output();
    output.is_ok_and(|output| {
        let sysroot = String::from_utf8_lossy(&output.stdout).into_owned();
        let lld = format!("lib/rustlib/{TARGET}/bin/gcc-ld/ld.lld");
        Path::new(sysroot.trim()).join(lld).is_file()
    })
}
