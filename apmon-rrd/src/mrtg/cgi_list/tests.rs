use std::{io::Write as _, path::Path, process::Command};

use proptest::prelude::*;

use super::*;

const SCRIPT: &str = "#!/usr/bin/perl -w
# %site_config = ('a' => 'comment');
our (%site_config, @config_files);
BEGIN {
    %site_config = (
        'Home' => '/var/tmp/home.mrtg.cfg', # the house
        \"Lab\", \"/b.cfg\",
    );
    @config_files = values %site_config;
}
";

fn entered(script: &str, site: &str, cfg: &str) -> String {
    let listed = cgi_list(script.as_bytes(), site, Path::new(cfg)).unwrap();
    String::from_utf8(listed.script.expect("it was not in the list")).unwrap()
}

#[test]
fn a_site_is_entered_in_the_order_of_sites() {
    assert_eq!(
        entered(SCRIPT, "Kitchen", "/k.cfg"),
        "#!/usr/bin/perl -w
# %site_config = ('a' => 'comment');
our (%site_config, @config_files);
BEGIN {
    %site_config = (
        'Home' => '/var/tmp/home.mrtg.cfg',
        'Kitchen' => '/k.cfg',
        \"Lab\" => \"/b.cfg\",
    );
    @config_files = values %site_config;
}
"
    );
}

#[test]
fn a_site_that_is_there_changes_nothing() {
    for (site, cfg) in [("Home", "/var/tmp/home.mrtg.cfg"), ("Lab", "/b.cfg")] {
        let listed = cgi_list(SCRIPT.as_bytes(), site, Path::new(cfg));
        let expected = Listed {
            script: None,
            has_sites: true,
            replaced: None,
        };
        assert_eq!(listed, Ok(expected));
    }
}

#[test]
fn the_configuration_of_a_site_is_replaced_and_the_former_one_named() {
    let listed = cgi_list(SCRIPT.as_bytes(), "Lab", Path::new("/new.cfg")).unwrap();
    assert_eq!(listed.replaced.as_deref(), Some("/b.cfg"));
    let script = String::from_utf8(listed.script.unwrap()).unwrap();
    assert!(
        script.contains("        'Lab' => '/new.cfg',\n    );"),
        "{script}"
    );
    assert!(!script.contains("/b.cfg"));
}

#[test]
fn an_older_script_gets_a_word() {
    let script = |words: &str| format!("BEGIN {{ @config_files = {words}; }}\n");
    for (words, expected) in [
        ("qw(/etc/mrtg.cfg)", "qw(/etc/mrtg.cfg /new.cfg)"),
        ("qw()", "qw(/new.cfg)"),
        ("qw/ a.cfg\n b.cfg\n/", "qw/ a.cfg\n b.cfg x.cfg\n/"),
    ] {
        let cfg = if words.contains("a.cfg\n") {
            "x.cfg"
        } else {
            "/new.cfg"
        };
        assert_eq!(entered(&script(words), "Home", cfg), script(expected));
    }
    let there = cgi_list(
        script("qw(/a.cfg /b.cfg)").as_bytes(),
        "Home",
        Path::new("/b.cfg"),
    )
    .unwrap();
    assert_eq!((there.script, there.has_sites), (None, false));
}

#[test]
fn a_list_that_is_more_than_quoted_texts_is_not_touched() {
    for (script, error) in [
        ("print 1;", ListError::NoList),
        ("# @config_files = qw(/a);", ListError::NoList),
        ("%site_config = ('a' => '/a.cfg'", ListError::NotPlain),
        ("%site_config = ('a' => $path);", ListError::NotPlain),
        ("%site_config = (\"a\" => \"$path\");", ListError::NotPlain),
        ("%site_config = (\"a\" => \"\\x41\");", ListError::NotPlain),
        ("%site_config = ('a');", ListError::NotPlain),
        ("%site_config = ('a' => '/a.cfg' . 'x');", ListError::NotPlain),
        ("@config_files = qw(/a", ListError::NotPlain),
        ("@config_files = qw(/a\\) );", ListError::NotPlain),
    ] {
        let listed = cgi_list(script.as_bytes(), "Home", Path::new("/home.cfg"));
        assert_eq!(listed, Err(error), "{script}");
    }
    let words = cgi_list(b"@config_files = qw(/a);", "Home", Path::new("/my home.cfg"));
    assert_eq!(words, Err(ListError::Path));
}

/// What Perl itself makes of the script.
fn read_by_perl(script: &[u8]) -> String {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(script).unwrap();
    file.write_all(b"print map { \"$_ is $site_config{$_}\\n\" } sort keys %site_config;\n")
        .unwrap();
    let output = Command::new("perl").arg(file.path()).output().expect("perl runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn perl_reads_what_was_entered() {
    let odd = r"/it's a \ $HOME @x/b\\ü.cfg";
    let script = entered(SCRIPT, "Büro_1", odd);
    assert_eq!(
        read_by_perl(script.as_bytes()),
        format!("Büro_1 is {odd}\nHome is /var/tmp/home.mrtg.cfg\nLab is /b.cfg\n")
    );
    // And again, as it is written now.
    let script = entered(&script, "Z", "/z.cfg");
    let again = cgi_list(script.as_bytes(), "Büro_1", Path::new(odd)).unwrap();
    assert_eq!(again.script, None);
}

/// Scripts that are nearly right.
fn scripts() -> impl Strategy<Value = Vec<u8>> {
    let piece = proptest::sample::select(vec![
        &b"%site_config = ("[..],
        b"@config_files = qw(",
        b"'Home' => '/home.cfg',\n",
        b"\"Lab\" => \"/lab.cfg\"",
        b"'it\\'s' => '/\\\\x',",
        b"word => ",
        b" /a.cfg ",
        b"# comment\n",
        b");\n",
        b"\\",
        b"'",
        b"\xff\n    ",
    ]);
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn a_site_that_was_entered_is_in_the_list(script in scripts(), site in "[a-zü_.-]{1,5}", cfg in "/[ -~ü]{0,12}") {
        let Ok(listed) = cgi_list(&script, &site, Path::new(&cfg)) else {
            return Ok(());
        };
        let Some(script) = listed.script else {
            return Ok(());
        };
        let again = cgi_list(&script, &site, Path::new(&cfg)).expect("it is a list still");
        prop_assert_eq!(again.script, None, "{}", String::from_utf8_lossy(&script));
        prop_assert_eq!(again.has_sites, listed.has_sites);
    }

    #[test]
    fn any_bytes_are_a_script_or_an_error(script in proptest::collection::vec(any::<u8>(), 0..64)) {
        for start in [&b"%site_config = ("[..], b"@config_files = qw"] {
            let _ = cgi_list(&[start, &script].concat(), "Home", Path::new("/home.cfg"));
        }
    }
}
