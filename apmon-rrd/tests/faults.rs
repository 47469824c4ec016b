//! Locks, deaths, full disks, and machines without librrd.

#![allow(clippy::unwrap_used)] // what fails here is a test

mod support;

use std::{
    fs::{self, File},
    path::Path,
    process::Command,
    time::Duration,
};

use apmon_rrd::{Consolidation, Librrd, Point, RrdError, Tune, Value};
use nix::{
    fcntl::{FcntlArg, fcntl},
    libc,
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use self::support::{CHILD, Lab, START, point, round, rrdtool, small};

/// Holds a lock as another program does that uses librrd.
fn lock(path: &Path, kind: i32) -> File {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let lock = libc::flock {
        l_type: i16::try_from(kind).unwrap(),
        l_whence: 0,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    fcntl(&file, FcntlArg::F_SETLK(&lock)).unwrap();
    file
}

fn one(at: i64) -> Vec<Point> {
    vec![point(START + at, &[Value::Count(1)])]
}

#[test]
fn a_file_that_another_program_reads_is_locked_for_updates() {
    let lab = Lab::new();
    let path = lab.file("a.rrd", &small());
    let held = lock(&path, libc::F_RDLCK);
    let locked = RrdError::Locked(path.clone());
    assert_eq!(lab.update(&path, &["is_up"], one(60)).unwrap_err(), locked);
    let tune = Tune {
        heartbeat: vec![("is_up".to_owned(), 300)],
        ..Tune::default()
    };
    assert_eq!(lab.librrd.tune(&path, &tune).unwrap_err(), locked);
    drop(held);
    assert_eq!(lab.update(&path, &["is_up"], one(60)).unwrap().stored, 1);
    lab.librrd.tune(&path, &tune).unwrap();
}

#[test]
fn a_file_that_another_program_writes_is_locked_for_everybody() {
    let lab = Lab::new();
    let path = lab.file("a.rrd", &small());
    let held = lock(&path, libc::F_WRLCK);
    let locked = RrdError::Locked(path.clone());
    let librrd = &lab.librrd;
    assert_eq!(librrd.info(&path).unwrap_err(), locked);
    assert_eq!(librrd.last_values(&path).unwrap_err(), locked);
    assert_eq!(librrd.first(&path, 0).unwrap_err(), locked);
    let fetched = librrd.fetch(&path, Consolidation::Average, START, START + 60, 60);
    assert_eq!(fetched.unwrap_err(), locked);
    // Requests for other files go on.
    lab.file("b.rrd", &small());
    drop(held);
    librrd.info(&path).unwrap();
}

/// A worker with a small disk of its own, on which a script has prepared something. What is on it
/// is seen by the worker alone.
fn with_a_disk(size: &str, script: &str) -> (Lab, std::path::PathBuf) {
    let mut command = Command::new("unshare");
    let disk = tempfile::tempdir().unwrap();
    let script = format!(
        "mount -t tmpfs -o size={size} none \"$DISK\" && cd \"$DISK\" || exit 99\n{script}\ncd / && exec \"$CHILD\""
    );
    command
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script])
        .env("CHILD", CHILD)
        .env("DISK", disk.path());
    (Lab::with(command), disk.keep())
}

const CREATE: &str =
    "rrdtool create a.rrd --start 1699920000 --step 60 DS:is_up:GAUGE:120:0:100 RRA:AVERAGE:0.5:1:200000";

#[test]
fn a_file_that_loses_its_pages_ends_the_child_alone() {
    // The pages of the first rows are gone, and there is no space for new ones: to touch them is
    // what it is to touch the end of a file that another program has just made shorter.
    let script = format!(
        "{CREATE}; rrdtool create b.rrd --start 1699920000 --step 60 DS:is_up:GAUGE:120:0:100 RRA:AVERAGE:0.5:1:10
         fallocate --punch-hole --offset 4096 --length 1596416 a.rrd
         dd if=/dev/zero of=filler bs=4k 2>/dev/null"
    );
    let (lab, disk) = with_a_disk("8m", &script);
    let (a, b) = (disk.join("a.rrd"), disk.join("b.rrd"));
    let update = |path: &Path, at: i64| {
        let names = vec!["is_up".to_owned()];
        let points = one(at);
        lab.librrd.update(path, &apmon_rrd::Update { names, points })
    };
    // After a gap of more rows than a page holds, wherever by chance the ring begins.
    let pending = [
        update(&b, 60),
        update(&a, 60_000),
        update(&b, 120),
        update(&b, 180),
    ];
    let [first, deadly, next, last] = pending.map(apmon_rrd::Pending::wait);
    assert_eq!(first.unwrap().stored, 1);
    match deadly.unwrap_err() {
        error @ RrdError::Crashed { .. } => {
            let text = format!("librrd crashed on {}: it was killed by SIGBUS", a.display());
            assert_eq!(error.to_string(), text);
        }
        error => panic!("{error}"),
    }
    // The next child has a disk of its own, on which b is new.
    assert_eq!(next.unwrap().stored, 1);
    assert_eq!(last.unwrap().stored, 1);
    fs::remove_dir(disk).unwrap();
}

#[test]
fn a_copy_that_does_not_fit_is_not_begun() {
    let (lab, disk) = with_a_disk("2m", CREATE);
    let path = disk.join("a.rrd");
    let before = lab.librrd.info(&path).unwrap();
    let tune = Tune {
        rows: vec![(0, 10)],
        ..Tune::default()
    };
    match lab.librrd.tune(&path, &tune).unwrap_err() {
        RrdError::NoSpace { needed, free, .. } => {
            assert_eq!(needed, (before.size + 80) + (before.size + 80) / 10);
            assert!(free < 600_000, "{free}");
        }
        error => panic!("{error}"),
    }
    assert_eq!(lab.librrd.info(&path).unwrap(), before);
    let mut schema = small();
    schema.rounds = vec![round(Consolidation::Average, 1, 100_000)];
    let error = lab
        .librrd
        .create(&disk.join("b.rrd"), &schema, START)
        .unwrap_err();
    assert!(matches!(error, RrdError::NoSpace { .. }), "{error}");
    fs::remove_dir(disk).unwrap();
}

#[test]
fn a_child_killed_while_it_writes_leaves_good_files() {
    const KILLS: usize = 15;
    let pid = tempfile::NamedTempFile::new().unwrap();
    let mut command = Command::new("sh");
    command
        .args(["-c", "echo $$ > \"$0\"; exec \"$1\""])
        .arg(pid.path())
        .arg(CHILD);
    let lab = Lab::with(command);
    let path = lab.file("a.rrd", &small());
    let mut next = 1;
    for _ in 0..KILLS {
        let pending: Vec<_> = (next..next + 500)
            .map(|i| {
                let update = apmon_rrd::Update {
                    names: vec!["is_up".to_owned()],
                    points: one(i),
                };
                (i, lab.librrd.update(&path, &update))
            })
            .collect();
        let child = fs::read_to_string(pid.path()).unwrap().trim().parse().unwrap();
        // The child writes now, or has just ended with that.
        kill(Pid::from_raw(child), Signal::SIGKILL).unwrap();
        let mut lost = 0;
        for (i, pending) in pending {
            match pending.wait() {
                Ok(updated) => assert_eq!(updated.stored, 1, "{i}: {:?}", updated.refused),
                Err(RrdError::Worker(text)) => {
                    assert!(text.contains("SIGKILL"), "{text}");
                    lost += 1;
                }
                Err(error) => panic!("{error}"),
            }
        }
        assert!(lost <= 1, "{lost}");
        next += 500;
        let info = lab.librrd.info(&path).unwrap();
        assert!(info.last_update >= START + next - 2, "{}", info.last_update);
    }
    rrdtool(&["dump", path.to_str().unwrap()]);
    let fetched = lab
        .librrd
        .fetch(&path, Consolidation::Average, START, START + next - 60, 60)
        .unwrap();
    let column = fetched.column("is_up").unwrap();
    // No hole, and no value that was not written. An update that is cut off can make its own row
    // too low: librrd forgets the seconds before it.
    assert!(
        column.iter().all(|value| *value > 0.0 && *value <= 1.0),
        "{column:?}"
    );
    let low = column.iter().filter(|value| **value < 1.0).count();
    assert!(low <= KILLS, "{column:?}");
}

#[test]
fn a_machine_without_librrd_says_what_to_install() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("librrd.so.8"), "no library").unwrap();
    let mut command = Command::new(CHILD);
    command.env("LD_LIBRARY_PATH", directory.path());
    let lab = Lab::with(command);
    let error = lab.librrd.version().unwrap_err();
    assert!(matches!(error, RrdError::NoLibrary(_)), "{error:?}");
    let text = error.to_string();
    assert!(text.starts_with("librrd cannot be loaded ("), "{text}");
    assert!(
        text.ends_with("); Debian has it in the package librrd8"),
        "{text}"
    );
    let path = lab.path("a.rrd");
    assert_eq!(lab.librrd.create(&path, &small(), START).unwrap_err(), error);
    assert_eq!(lab.update(&path, &["is_up"], one(60)).unwrap_err(), error);
    // It may be installed while the daemon runs.
    fs::remove_file(directory.path().join("librrd.so.8")).unwrap();
    lab.librrd.version().unwrap();
}

#[test]
fn a_worker_that_is_missing_is_an_error_of_the_worker() {
    let librrd = Librrd::worker(Command::new("/proc/nonexistent/apmon"));
    librrd.start();
    let error = librrd.version().unwrap_err();
    assert!(matches!(error, RrdError::Worker(_)), "{error:?}");
    assert!(error.to_string().contains("/proc/nonexistent/apmon"), "{error}");
}

#[test]
fn the_daemon_of_rrdtool_is_not_asked() {
    let mut command = Command::new(CHILD);
    command.env("RRDCACHED_ADDRESS", "unix:/proc/nonexistent/socket");
    let lab = Lab::with(command);
    let path = lab.file("a.rrd", &small());
    let tune = Tune {
        heartbeat: vec![("is_up".to_owned(), 300)],
        ..Tune::default()
    };
    lab.librrd.tune(&path, &tune).unwrap();
    assert_eq!(lab.librrd.info(&path).unwrap().schema.sources[1].heartbeat, 300);
}

#[test]
fn a_child_that_got_the_address_of_a_daemon_nevertheless_refuses_to_tune() {
    let mut command = Command::new("sh");
    command.args([
        "-c",
        "export RRDCACHED_ADDRESS=unix:/proc/nonexistent/socket; exec \"$0\"",
        CHILD,
    ]);
    let lab = Lab::with(command);
    let path = lab.file("a.rrd", &small());
    let tune = Tune {
        heartbeat: vec![("is_up".to_owned(), 300)],
        ..Tune::default()
    };
    let error = lab.librrd.tune(&path, &tune).unwrap_err();
    assert!(error.to_string().contains("RRDCACHED_ADDRESS is set"), "{error}");
}

#[test]
fn finishing_writes_what_was_accepted() {
    let lab = Lab::new();
    let path = lab.file("a.rrd", &small());
    for i in 1..=300 {
        let update = apmon_rrd::Update {
            names: vec!["is_up".to_owned()],
            points: one(i),
        };
        drop(lab.librrd.update(&path, &update));
    }
    lab.librrd.finish(Duration::from_secs(60));
    let shown = rrdtool(&["last", path.to_str().unwrap()]);
    assert_eq!(shown.trim(), (START + 300).to_string());
    let error = lab.librrd.version().unwrap_err();
    assert!(error.to_string().contains("finished"), "{error}");
}

#[test]
fn librrd_works_in_the_process_itself_and_by_threads() {
    let lab = Lab::new();
    let librrd = Librrd::in_process().unwrap();
    assert_eq!(librrd.version().unwrap(), lab.librrd.version().unwrap());
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (librrd, lab) = (librrd.clone(), &lab);
            scope.spawn(move || {
                let path = lab.path(&format!("{thread}.rrd"));
                librrd.create(&path, &small(), START).unwrap();
                for i in 1..=200 {
                    let update = apmon_rrd::Update {
                        names: vec!["is_up".to_owned()],
                        points: one(i),
                    };
                    assert_eq!(librrd.update(&path, &update).wait().unwrap().stored, 1);
                }
                let missing = librrd.info(Path::new("/proc/nonexistent/a.rrd")).unwrap_err();
                assert!(matches!(missing, RrdError::Missing(_)), "{missing}");
                let fetched = librrd
                    .fetch(&path, Consolidation::Average, START, START + 179, 60)
                    .unwrap();
                assert_eq!(fetched.column("is_up").unwrap(), [1.0; 3]);
            });
        }
    });
}
