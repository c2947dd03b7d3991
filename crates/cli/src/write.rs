//! Writes several files together: where one cannot be written, none is. One alone is `penjing_checkpoint::write_atomically`'s.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// Writes each file beside its place, then renames all. Only a rename that fails leaves those before it.
pub(crate) fn together(files: &[(&Path, &[u8])]) -> Result<()> {
    let mut places = BTreeSet::new();
    for (path, _) in files {
        ensure!(
            places.insert(path),
            "{}: expected a file for each, found it twice",
            path.display()
        );
    }
    let mut written = Vec::new();
    let done = stage(files, &mut written).and_then(|()| {
        written.iter().zip(files).try_for_each(|(temporary, (path, _))| {
            fs::rename(temporary, path).with_context(|| path.display().to_string())
        })
    });
    if done.is_err() {
        for temporary in &written {
            // those that were renamed are gone; of the others nothing is to remain
            let _ = fs::remove_file(temporary);
        }
    }
    done
}

fn stage(files: &[(&Path, &[u8])], written: &mut Vec<PathBuf>) -> Result<()> {
    for (path, bytes) in files {
        let name = || path.display().to_string();
        ensure!(!path.is_dir(), "{}: expected a file, found a folder", path.display());
        let file = path.file_name().context("the path does not end in a file name");
        let file = file.with_context(name)?;
        let mut temporary = std::ffi::OsString::from(".");
        temporary.push(file);
        temporary.push(".tmp");
        let temporary = path.with_file_name(temporary);
        let mut file = File::create(&temporary).with_context(name)?;
        written.push(temporary);
        file.write_all(bytes).and_then(|()| file.sync_all()).with_context(name)?;
    }
    Ok(())
}
