//! Makes the committed corpora anew, from `penjing_fuzz::seeds` and `seeds_import`: to be run when the format grows. Other files there stay.

#![forbid(unsafe_code)]

use std::path::Path;

fn main() -> std::io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let imports = penjing_fuzz::seeds_import::files();
    for (path, bytes) in penjing_fuzz::seeds::files().into_iter().chain(imports) {
        let path = corpus.join(path);
        std::fs::create_dir_all(path.parent().unwrap_or(&corpus))?;
        std::fs::write(path, bytes)?;
    }
    Ok(())
}
