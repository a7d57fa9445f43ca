//! Disks whose power can be cut: ext4 in a file, mounted through a loop device.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::Scene;

/// `linux/magic.h`.
const TMPFS: i64 = 0x0102_1994;
const RAMFS: i64 = 0x8584_58f6;

const PROGRAMS: [&str; 4] = ["mkfs.ext4", "mount", "umount", "python3"];

/// Cuts the power: see the head of that file.
const POWER_CUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/support/power_cut.py");

/// A file system of its own, mounted as long as this value lives.
pub(crate) struct Image {
    file: PathBuf,
    mount: PathBuf,
}

impl Image {
    /// Whether this machine lets tests mount disks. If not, says so; where nothing may be
    /// skipped, it fails.
    pub(crate) fn are_possible(scene: &Scene) -> bool {
        let Err(why) = possible(scene.path()) else { return true };
        assert!(env::var_os("CI").is_none(), "power cuts must be possible here, but {why}");
        eprintln!("skipped: {why}");
        false
    }

    /// A new disk of so many MiB in a scene. Only what is written takes space.
    pub(crate) fn new(scene: &Scene, name: &str, mebibytes: u64) -> Self {
        let (file, mount) = (scene.join(format!("{name}.ext4")), scene.join(name));
        let made = File::create(&file).and_then(|file| file.set_len(mebibytes << 20));
        made.and_then(|()| fs::create_dir(&mount)).expect("room for an image");
        run(Command::new("mkfs.ext4").args(["-q", "-F", "-m", "0"]).arg(&file))
            .expect("a file system");
        let image = Self { file, mount };
        image.mount();
        image
    }

    /// Where it is mounted.
    pub(crate) fn path(&self) -> &Path {
        &self.mount
    }

    /// Cuts the power of these at one moment, so many microseconds after this process is ready
    /// to: whatever is not on the disk is lost. Nothing works on them any more until they are
    /// mounted anew.
    pub(crate) fn cut<'a>(images: impl IntoIterator<Item = &'a Self>, after: u64) {
        let mounts = images.into_iter().map(Self::path);
        run(Command::new("python3").arg(POWER_CUT).arg(after.to_string()).args(mounts))
            .expect("a power cut");
    }

    /// Switched on again: the file system recovers what its journal has. Nobody may have a file
    /// open there.
    pub(crate) fn mount_anew(&self) {
        run(Command::new("umount").arg(&self.mount)).expect("nobody uses it");
        self.mount();
    }

    /// Whether anything can be written.
    pub(crate) fn set_read_only(&self, read_only: bool) {
        let mode = if read_only { "remount,ro" } else { "remount,rw" };
        run(Command::new("mount").args(["-o", mode]).arg(&self.mount)).expect("nobody writes");
    }

    /// The file system finds an error in itself, and nothing can be written any more.
    pub(crate) fn find_an_error(&self) {
        let mounts = fs::read_to_string("/proc/self/mounts").expect("a list");
        let ours =
            |line: &&str| line.split(' ').nth(1).is_some_and(|at| Path::new(at) == self.mount);
        let line = mounts.lines().find(ours).expect("it is mounted");
        let device = line.split(' ').next().and_then(|device| device.strip_prefix("/dev/"));
        let device = device.expect("a device");
        let path = format!("/sys/fs/ext4/{device}/trigger_fs_error");
        fs::write(path, "a test").expect("it can be asked for");
    }

    fn mount(&self) {
        run(Command::new("mount")
            .args(["-o", "loop,errors=remount-ro"])
            .arg(&self.file)
            .arg(&self.mount))
        .expect("a loop device");
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        // A server that still runs after a failure keeps it busy: it goes as soon as it can.
        let _left = run(Command::new("umount").arg("--lazy").arg(&self.mount));
    }
}

/// The error says what is in the way.
fn possible(scene: &Path) -> Result<(), String> {
    if !rustix::process::geteuid().is_root() {
        return Err("mounting disks needs root".to_owned());
    }
    for program in PROGRAMS {
        let found = Command::new("sh").args(["-c", "command -v \"$0\"", program]).output();
        if !found.is_ok_and(|found| found.status.success()) {
            return Err(format!("there is no {program}"));
        }
    }
    // In memory nothing is ever lost: what such a test shows is worth nothing.
    let kind = rustix::fs::statfs(scene).map_err(|error| error.to_string())?.f_type;
    if [TMPFS, RAMFS].contains(&kind) {
        return Err(format!("{} is in memory, not on a disk", scene.display()));
    }
    let probe = tempfile::tempdir_in(scene).map_err(|error| error.to_string())?;
    let (file, mount) = (probe.path().join("probe"), probe.path().join("mount"));
    let made = File::create(&file).and_then(|file| file.set_len(8 << 20));
    made.and_then(|()| fs::create_dir(&mount)).map_err(|error| error.to_string())?;
    run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&file))?;
    run(Command::new("mount").args(["-o", "loop"]).arg(&file).arg(&mount))?;
    run(Command::new("umount").arg(&mount)).map(drop)
}

fn run(command: &mut Command) -> Result<Output, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{command:?}: {}", text.trim()));
    }
    Ok(output)
}
