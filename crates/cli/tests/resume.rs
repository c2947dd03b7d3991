//! `penjing train` killed with SIGKILL and resumed: at a random moment of each stage, and in the middle of a save. What the
//! stages compute is tested in the train crate.
#![cfg(feature = "train")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant, SystemTime};

const SPEC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../specs/article.toml");

/// A folder with made-up training images of ten classes in raw IDX files.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new(count: u32, seed: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut random = Random(seed);
        let mut images = [0x0803, count, 28, 28].map(u32::to_be_bytes).concat();
        let mut labels = [0x0801, count].map(u32::to_be_bytes).concat();
        for _ in 0..count {
            let class = random.below(10) as u8;
            labels.push(class);
            for y in 0..28_u8 {
                for _ in 0..28 {
                    let noise = random.below(120) as u8;
                    images.push(if y / 3 == class { 130 + noise } else { noise });
                }
            }
        }
        fs::write(dir.path().join("train-images-idx3-ubyte"), images).unwrap();
        fs::write(dir.path().join("train-labels-idx1-ubyte"), labels).unwrap();
        Self(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

/// xorshift64: a few numbers, repeatable by their seed.
struct Random(u64);

impl Random {
    /// Seeded by `PENJING_TEST_SEED` or the clock, and printed so that a failure can be repeated.
    fn of_this_run(test: &str) -> Self {
        let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos();
        let seed = std::env::var("PENJING_TEST_SEED").map(|s| s.parse().unwrap());
        let seed = seed.unwrap_or(clock as u64 | 1);
        println!("{test}: PENJING_TEST_SEED={seed}");
        Self(seed)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % n
    }
}

/// `penjing train STAGE ...` on the folder's data, writing `out`.
fn train(folder: &Folder, stage: &[&str], out: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_penjing"));
    command.arg("train").args(stage).arg("--data").arg(folder.0.path()).arg("-o").arg(out);
    command.args(["--epochs", "30", "--augment-shift", "1"]).args(more);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

fn finish(mut command: Command) -> Output {
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {stderr}");
    output
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Kills with SIGKILL; whether the process was still at it.
fn kill(mut child: Child) -> bool {
    let running = child.try_wait().unwrap().is_none();
    child.kill().unwrap();
    !child.wait().unwrap().success() && running
}

fn state_of(out: &Path) -> PathBuf {
    PathBuf::from(format!("{}.state", out.display()))
}

/// The checkpoint and metrics of a resumed run against those of an uninterrupted one.
fn assert_like(out: &Path, whole: &Path, folder: &Folder) {
    assert!(fs::read(out).unwrap() == fs::read(whole).unwrap(), "{} differs", out.display());
    let metrics = fs::read_to_string(out.with_extension("metrics.jsonl")).unwrap();
    let epochs: Vec<u64> = metrics
        .lines()
        .map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap()["epoch"].as_u64().unwrap())
        .collect();
    assert_eq!(epochs, (1..=30).collect::<Vec<u64>>(), "one line an epoch, in order");
    let left: Vec<_> = fs::read_dir(folder.0.path())
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .filter(|n| n.ends_with(".state") || n.ends_with(".tmp"))
        .collect();
    assert!(left.is_empty(), "left behind: {left:?}");
}

/// Runs a stage whole, then killed at a random moment and resumed.
fn killed_and_resumed(name: &str, folder: &Folder, stage: &[&str]) -> PathBuf {
    let whole = folder.path(&format!("{name}.safetensors"));
    let start = Instant::now();
    finish(train(folder, stage, &whole, &[]));
    let duration = start.elapsed();
    let mut random = Random::of_this_run(name);
    for attempt in 0..20 {
        let out = folder.path(&format!("{name}-killed-{attempt}.safetensors"));
        let child = train(folder, stage, &out, &[]).spawn().unwrap();
        let wait = duration.mul_f64(0.05 + 0.0009 * random.below(1000) as f64);
        std::thread::sleep(wait);
        let killed = kill(child);
        let state = state_of(&out).exists();
        println!("{name}: after {wait:?} of {duration:?}: killed {killed}, state {state}");
        // under a changing load the run may be over already
        if !killed {
            continue;
        }
        let resumed = finish(train(folder, stage, &out, &["--resume"]));
        let message = text(&resumed);
        assert_like(&out, &whole, folder);
        if !state {
            // killed before its first save: it started anew, and another kill must find a state
            assert!(!message.contains("resumed"), "{message}");
            continue;
        }
        let step = message.lines().find_map(|l| l.strip_prefix("resumed at step ")).unwrap();
        let step: usize = step.split(' ').next().unwrap().parse().unwrap();
        assert!(step > 0 && step.is_multiple_of(200), "{message}");
        return whole;
    }
    panic!("{name}: no kill of 20 fell between the first save and the end");
}

#[test]
fn every_stage_survives_a_kill_at_a_random_moment() {
    let folder = Folder::new(1400, 11);
    let baseline = killed_and_resumed("baseline", &folder, &["baseline", "--spec", SPEC]);
    let from = baseline.to_str().unwrap();
    // masks due at other steps than the saves: a resumed run cannot make up for lost ones
    let schedule = ["--prune-frequency", "70", "--end-step", "500"];
    let stage = [&["prune", "--from", from][..], &schedule].concat();
    let pruned = killed_and_resumed("prune", &folder, &stage);
    let from = pruned.to_str().unwrap();
    killed_and_resumed("qat", &folder, &["qat", "--from", from]);
}

#[test]
fn a_kill_in_the_middle_of_a_save_leaves_the_save_before() {
    let folder = Folder::new(300, 5);
    let stage = ["baseline", "--spec", SPEC];
    let [whole, out] = ["whole.safetensors", "killed.safetensors"].map(|n| folder.path(n));
    finish(train(&folder, &stage, &whole, &[]));
    let temporary = folder.path(".killed.safetensors.state.tmp");
    let mut hits = 0;
    for _ in 0..200 {
        let mut child =
            train(&folder, &stage, &out, &["--resume", "--save-every", "1"]).spawn().unwrap();
        while state_of(&out).metadata().is_err() && child.try_wait().unwrap().is_none() {}
        while temporary.metadata().is_err() && child.try_wait().unwrap().is_none() {}
        let killed = kill(child);
        // only a file that is still there was being written when the kill came
        hits += usize::from(killed && temporary.exists());
        if hits == 2 || !killed {
            break;
        }
    }
    assert!(hits > 0, "no kill fell into a save");
    println!("{hits} kills fell into a save");
    finish(train(&folder, &stage, &out, &["--resume"]));
    assert_like(&out, &whole, &folder);
}

#[test]
fn a_state_of_another_run_is_refused() {
    let folder = Folder::new(300, 5);
    let other_data = Folder::new(300, 6);
    let [first, second] = ["a.safetensors", "b.safetensors"].map(|n| folder.path(n));
    finish(train(&folder, &["baseline", "--spec", SPEC], &first, &[]));
    finish(train(&folder, &["baseline", "--spec", SPEC], &second, &["--seed", "1"]));
    let out = folder.path("pruned.safetensors");
    let stage = |from: &Path| ["prune".into(), "--from".into(), from.display().to_string()];
    let run = |folder: &Folder, from: &Path, more: &[&str]| {
        let stage = stage(from);
        train(folder, &stage.each_ref().map(String::as_str), &out, more)
    };
    let mut child = run(&folder, &first, &["--save-every", "1"]).spawn().unwrap();
    while !state_of(&out).exists() && child.try_wait().unwrap().is_none() {}
    assert!(kill(child), "the run was over before its first save");

    let refused = |mut command: Command, words: &[&str]| {
        let output = command.arg("--resume").output().unwrap();
        let message = text(&output);
        assert_eq!(output.status.code(), Some(2), "{message}");
        for word in words {
            assert!(message.contains(word), "{message:?} should speak of {word:?}");
        }
    };
    let name = "pruned.safetensors.state";
    let seed = ["recipe.fit.seed", "expected 9", "found 0", name];
    refused(run(&folder, &first, &["--seed", "9"]), &seed);
    refused(run(&folder, &first, &["--sparsity", "0.7"]), &["sparsity", "0.7", "0.8", name]);
    refused(run(&folder, &second, &[]), &["parent", name]);
    refused(run(&other_data, &first, &[]), &["recipe.data.sha256", name]);
    fs::write(state_of(&out), b"not a state").unwrap();
    refused(run(&folder, &first, &[]), &["not a training state", name]);
}

#[test]
fn a_finished_run_is_not_repeated_and_threads_do_not_matter() {
    let folder = Folder::new(300, 5);
    let [one, two] = ["one.safetensors", "two.safetensors"].map(|n| folder.path(n));
    for (out, threads) in [(&one, "1"), (&two, "2")] {
        let mut command = train(&folder, &["baseline", "--spec", SPEC], out, &[]);
        command.env("RAYON_NUM_THREADS", threads);
        finish(command);
    }
    assert!(fs::read(&one).unwrap() == fs::read(&two).unwrap(), "thread counts change the result");
    let written = fs::metadata(&one).unwrap().modified().unwrap();
    std::thread::sleep(Duration::from_millis(20));
    let again = finish(train(&folder, &["baseline", "--spec", SPEC], &one, &["--resume"]));
    assert!(text(&again).contains("there already"), "{}", text(&again));
    assert_eq!(fs::metadata(&one).unwrap().modified().unwrap(), written);
    // another recipe is another run, even with --resume
    let more = ["--resume", "--seed", "3"];
    finish(train(&folder, &["baseline", "--spec", SPEC], &one, &more));
    assert!(fs::read(&one).unwrap() != fs::read(&two).unwrap());
}
