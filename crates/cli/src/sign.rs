//! `penjing keygen`, `sign` and `verify`: models that a device takes from its maker alone and never an older one. Keys are PEM
//! files as openssl writes and reads them (PKCS #8, SubjectPublicKeyInfo). Where a signature lies in a file is `penjing_format`'s.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use ed25519_compact::{KeyPair, PublicKey, SecretKey, Seed};
use penjing_checkpoint::write_atomically;
use penjing_format::{ModelView, signature};
use penjing_runtime::{Model, Signer};

/// A key is a few lines; what is longer is none.
const KEY_BYTES: u64 = 1 << 14;

/// Make a pair of keys to sign models with
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  penjing keygen -o maker.pem    # and maker.pub.pem, for devices"
)]
pub(crate) struct KeygenArgs {
    /// Secret key to write; the public key goes beside it, with .pub before the ending
    #[arg(short, long, value_name = "KEY.pem")]
    output: PathBuf,
}

/// Sign a model file, with a version that devices do not go back from
#[derive(clap::Args)]
#[command(after_help = "Example:\n  penjing sign model.pnj --key maker.pem --model-version 3")]
pub(crate) struct SignArgs {
    /// Model file to sign; a signature that it has is replaced
    #[arg(value_name = "MODEL.pnj")]
    model: PathBuf,
    /// Secret key that `penjing keygen` wrote
    #[arg(long, value_name = "KEY.pem")]
    key: PathBuf,
    /// Version of the model, larger than that of every model before it; 1 more than the file's, or 1, where none is given
    #[arg(long, value_name = "N")]
    model_version: Option<u64>,
    /// Signed file to write; the model itself, where none is given
    #[arg(short, long, value_name = "SIGNED.pnj")]
    output: Option<PathBuf>,
}

/// Verify a signed model file
#[derive(clap::Args)]
#[command(after_help = "Example:\n  penjing verify model.pnj --pubkey maker.pub.pem --at-least 3")]
pub(crate) struct VerifyArgs {
    /// Model file
    #[arg(value_name = "MODEL.pnj")]
    model: PathBuf,
    /// Public key that `penjing keygen` wrote
    #[arg(long, value_name = "KEY.pub.pem")]
    pubkey: PathBuf,
    /// Least version that the model may have
    #[arg(long, value_name = "N", default_value_t = 0)]
    at_least: u64,
}

pub(crate) fn keygen(args: &KeygenArgs) -> Result<()> {
    let public = public_path(&args.output)?;
    for path in [&args.output, &public] {
        ensure!(
            !path.exists(),
            "{}: a file is there, and keys are never overwritten",
            path.display()
        );
    }
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|e| anyhow!("the system gives no random numbers: {e}"))?;
    let pair = KeyPair::from_seed(Seed::new(seed));
    create(&args.output, &pair.sk.to_pem(), true)?;
    if let Err(error) = create(&public, &pair.pk.to_pem(), false) {
        // Half a pair is of no use.
        let _ = std::fs::remove_file(&args.output);
        return Err(error);
    }
    println!("{}: secret key; whoever has it can sign models", args.output.display());
    println!("{}: public key, for devices and `penjing verify`", public.display());
    println!("public key bytes: {}", hex(pair.pk.as_slice()));
    Ok(())
}

/// `maker.pem` to `maker.pub.pem`.
fn public_path(secret: &Path) -> Result<PathBuf> {
    let stem = secret.file_stem().with_context(|| format!("{}: no file name", secret.display()))?;
    let mut name = stem.to_owned();
    name.push(".pub");
    if let Some(ending) = secret.extension() {
        name.push(".");
        name.push(ending);
    }
    Ok(secret.with_file_name(name))
}

/// Writes a new file; a secret one only its owner may read.
fn create(path: &Path, text: &str, secret: bool) -> Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if secret {
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    let written = options.open(path).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.with_context(|| path.display().to_string())
}

pub(crate) fn sign(args: &SignArgs) -> Result<()> {
    let name = || args.model.display().to_string();
    let file = std::fs::read(&args.model).with_context(name)?;
    // Weights that are entropy-coded are decoded too: what no device opens is not signed.
    Model::from_bytes(file.clone()).with_context(name)?;
    let text = read_key(&args.key)?;
    let key = SecretKey::from_pem(&text).map_err(|e| {
        anyhow!("{}: expected a secret ed25519 key in PEM, found none: {e}", args.key.display())
    })?;
    // A version that someone else has put there counts for nothing.
    let own =
        Signer { key: penjing_runtime::PublicKey::from_bytes(*key.public_key()), at_least: 0 };
    let before = penjing_runtime::verify(&file, &own).ok();
    let version = match (args.model_version, before) {
        (None, before) => before
            .unwrap_or(0)
            .checked_add(1)
            .with_context(|| format!("{}: no version is larger than the file's", name()))?,
        (Some(asked), Some(before)) if asked <= before => bail!(
            "{}: --model-version: expected more than the file's {before}, found {asked}",
            name()
        ),
        (Some(asked), _) => asked,
    };
    let message = signature::message(&file, version);
    // Without noise the same model, version and key give the same bytes.
    let signed = signature::append(message.clone(), *key.sign(&message, None));
    let output = args.output.as_ref().unwrap_or(&args.model);
    write_atomically(output, &signed).with_context(|| output.display().to_string())?;
    println!("{}: version {version}, {} bytes", output.display(), signed.len());
    Ok(())
}

pub(crate) fn verify(args: &VerifyArgs) -> Result<()> {
    let name = || args.model.display().to_string();
    let file = std::fs::read(&args.model).with_context(name)?;
    let text = read_key(&args.pubkey)?;
    let key = PublicKey::from_pem(&text).map_err(|e| {
        anyhow!("{}: expected a public ed25519 key in PEM, found none: {e}", args.pubkey.display())
    })?;
    let signer =
        Signer { key: penjing_runtime::PublicKey::from_bytes(*key), at_least: args.at_least };
    let version = penjing_runtime::verify(&file, &signer).with_context(name)?;
    ModelView::open_coded(&file).with_context(name)?;
    println!("{}: signed by this key, version {version}", name());
    Ok(())
}

fn read_key(path: &Path) -> Result<String> {
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(KEY_BYTES).read_to_string(&mut text))
        .with_context(|| path.display().to_string())?;
    Ok(text)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
