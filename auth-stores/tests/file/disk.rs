//! A disk that is soon full.
#![cfg(target_os = "linux")]

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::process::Command;

use crate::support::Dir;

/// A file system of its own, in memory. It goes with this.
pub(crate) struct TinyDisk(Dir);

impl TinyDisk {
    /// Whether this user may mount one. Where not, the test runs to its end as one who may, in a namespace of its own.
    pub(crate) fn may_be_mounted(test: &str) -> bool {
        let root = fs::metadata(Dir::new().path()).unwrap().uid() == 0;
        if !root {
            let mut again = Command::new("unshare");
            again.args(["--user", "--map-root-user", "--mount"]).arg(std::env::current_exe().unwrap());
            let status = again.args([test, "--exact", "--nocapture"]).status().unwrap();
            assert!(status.success(), "as root of a namespace of its own");
        }
        root
    }

    pub(crate) fn new() -> Self {
        let dir = Dir::new();
        run("mount", ["-t", "tmpfs", "-o", "size=256k,mode=0700", "none"].map(OsStr::new), &dir);
        Self(dir)
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.0.file()
    }

    pub(crate) fn address(&self) -> String {
        self.file().to_str().expect("a path that is text").to_owned()
    }

    fn filler(&self) -> PathBuf {
        self.0.path().join("filler")
    }

    /// To the last byte.
    pub(crate) fn fill(&self) {
        let mut filler = File::create(self.filler()).unwrap();
        while filler.write_all(&[0; 4096]).is_ok() {}
    }

    pub(crate) fn make_room(&self) {
        fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for TinyDisk {
    fn drop(&mut self) {
        // Whoever was killed there a moment ago may still be in it.
        run("umount", ["--lazy"].map(OsStr::new), &self.0);
    }
}

fn run<const N: usize>(program: &str, arguments: [&OsStr; N], dir: &Dir) {
    let status = Command::new(program).args(arguments).arg(dir.path()).status().unwrap();
    assert!(status.success(), "{program} {}", dir.path().display());
}
