//! The bare disk: so many writers, each overwriting a file of zeros and syncing each write.
//!
//! `disk --dir PATH --writers N --bytes N --seconds S`

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use bench_drivers::{Outcome, flag, quantile, tell};

const PAGE_BYTES: usize = 4096;
const FILE_BYTES: usize = 128 << 20;

fn main() -> Outcome<()> {
    let directory: PathBuf = flag("dir", std::env::temp_dir());
    let (writers, bytes): (usize, usize) = (flag("writers", 1), flag("bytes", PAGE_BYTES));
    let time = Duration::from_secs_f64(flag("seconds", 1.0));
    // As the log does, each write begins at a page.
    let step = bytes.next_multiple_of(PAGE_BYTES);
    let mut files = Vec::new();
    for number in 0..writers {
        let path = directory.join(format!("bare-{}-{number}", std::process::id()));
        let file = File::create(&path)?;
        // An open file without a name goes away with this process.
        fs::remove_file(&path)?;
        for offset in (0..FILE_BYTES).step_by(1 << 20) {
            file.write_all_at(&vec![0; 1 << 20], offset as u64)?;
        }
        file.sync_all()?;
        files.push(file);
    }
    let begun = Instant::now();
    let work = |file: File| {
        thread::spawn(move || -> std::io::Result<Vec<Duration>> {
            let (data, mut offset, mut times) = (vec![7; bytes], 0, Vec::new());
            while begun.elapsed() < time {
                let start = Instant::now();
                file.write_all_at(&data, offset as u64)?;
                file.sync_data()?;
                times.push(start.elapsed());
                offset = if offset + 2 * step > FILE_BYTES { 0 } else { offset + step };
            }
            Ok(times)
        })
    };
    let mut times = Vec::new();
    for thread in files.into_iter().map(work).collect::<Vec<_>>() {
        times.append(&mut thread.join().map_err(|_| "a writer ended")??);
    }
    let rate = times.len() as f64 / begun.elapsed().as_secs_f64();
    tell(&[
        ("syncs_per_second", rate),
        ("bytes_per_second", rate * bytes as f64),
        ("p50_us", quantile(&mut times, 0.5)),
        ("p99_us", quantile(&mut times, 0.99)),
    ]);
    Ok(())
}
