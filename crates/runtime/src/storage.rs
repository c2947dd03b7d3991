//! Where a model's bytes live: a memory map, a vector or a `'static` slice; checked once, viewed at no cost.
//! Planning and running are `session`'s.

use crate::error::Error;
#[cfg(feature = "alloc")]
use alloc::{boxed::Box, string::String, vec::Vec};
use core::fmt;
use penjing_format::ModelView;
#[cfg(not(feature = "alloc"))]
use penjing_format::lean::Lean;
use penjing_format::read::Labels;
#[cfg(feature = "alloc")]
use penjing_format::{DataType, ExpandError, QuantParams, Shape, TensorType, expand};

/// A checked model file.
pub struct Model {
    bytes: Bytes,
}

enum Bytes {
    #[cfg(feature = "alloc")]
    Owned(Vec<u8>),
    Static(&'static [u8]),
    #[cfg(feature = "std")]
    Mapped(memmap2::Mmap),
}

impl Bytes {
    fn get(&self) -> &[u8] {
        match self {
            #[cfg(feature = "alloc")]
            Bytes::Owned(bytes) => bytes,
            Bytes::Static(bytes) => bytes,
            #[cfg(feature = "std")]
            Bytes::Mapped(map) => map,
        }
    }
}

/// How a file is opened.
#[cfg(feature = "alloc")]
#[non_exhaustive]
#[derive(Clone, Copy, Debug)]
pub struct OpenOptions {
    /// Bytes of memory that decoding may take, of a file whose weights are entropy-coded; others take none. 256 MiB where
    /// nothing is said. A file that needs more is refused before any of it is allocated.
    pub max_bytes: u64,
    /// Who must have signed the file; `None`: anyone or nobody.
    #[cfg(feature = "signed")]
    pub signer: Option<crate::Signer>,
}

#[cfg(feature = "alloc")]
impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            max_bytes: 256 << 20,
            #[cfg(feature = "signed")]
            signer: None,
        }
    }
}

impl Model {
    /// Maps a file into memory and checks all of it.
    ///
    /// The file must stay as it is while the model is in use: whoever writes to it, or cuts it short, changes memory that
    /// this process reads. Replace a file by renaming another over it, or use [`from_bytes`](Self::from_bytes).
    ///
    /// [`Error::Io`] or [`Error::Format`], both with the path.
    #[cfg(feature = "std")]
    pub fn open(path: impl AsRef<std::path::Path>) -> Result<Self, Error> {
        Self::open_with(path, &OpenOptions::default())
    }

    /// As [`open`](Self::open), with options.
    #[cfg(feature = "std")]
    pub fn open_with(
        path: impl AsRef<std::path::Path>,
        options: &OpenOptions,
    ) -> Result<Self, Error> {
        let path = path.as_ref();
        let io = |source| Error::Io { path: path.to_path_buf(), source };
        let file = std::fs::File::open(path).map_err(io)?;
        if file.metadata().map_err(io)?.len() == 0 {
            // An empty map is an error of its own on some systems; an empty vector fails the check with a clear word.
            return Self::checked(Bytes::Owned(Vec::new()), Some(path), options);
        }
        Self::checked(Bytes::Mapped(map(&file).map_err(io)?), Some(path), options)
    }

    /// Checks a file that is in memory.
    #[cfg(feature = "alloc")]
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, Error> {
        Self::from_bytes_with(bytes, &OpenOptions::default())
    }

    /// As [`from_bytes`](Self::from_bytes), with options.
    #[cfg(feature = "alloc")]
    pub fn from_bytes_with(bytes: Vec<u8>, options: &OpenOptions) -> Result<Self, Error> {
        Self::checked(Bytes::Owned(bytes), None::<&str>, options)
    }

    /// Checks a file that is part of the program, such as an `include_bytes!`. Of its address nothing is asked; weights of f32
    /// are read fastest where it is a multiple of 4.
    ///
    /// Without the feature `alloc` only the content hash is held against the bytes here; a session in place checks what it uses,
    /// and is safe for any bytes.
    pub fn from_static(bytes: &'static [u8]) -> Result<Self, Error> {
        #[cfg(feature = "alloc")]
        return Self::from_static_with(bytes, &OpenOptions::default());
        #[cfg(not(feature = "alloc"))]
        match Lean::open(bytes) {
            Ok(_) => Ok(Self { bytes: Bytes::Static(bytes) }),
            Err(source) => Err(Error::Header { source }),
        }
    }

    /// As [`from_static`](Self::from_static), with options.
    #[cfg(feature = "alloc")]
    pub fn from_static_with(bytes: &'static [u8], options: &OpenOptions) -> Result<Self, Error> {
        Self::checked(Bytes::Static(bytes), None::<&str>, options)
    }

    #[cfg(feature = "alloc")]
    fn checked(
        bytes: Bytes,
        path: Option<&(impl PathText + ?Sized)>,
        options: &OpenOptions,
    ) -> Result<Self, Error> {
        let text = || path.map(PathText::text);
        #[cfg(feature = "signed")]
        if let Some(signer) = &options.signer {
            crate::verify(bytes.get(), signer)
                .map_err(|source| Error::Signature { path: text(), source })?;
        }
        let format = |source| Error::Format { path: text(), source: Box::new(source) };
        match ModelView::open(bytes.get()) {
            Ok(_) => Ok(Self { bytes }),
            Err(penjing_format::Error::Coded { .. }) => {
                let expanded = expand(bytes.get(), options.max_bytes);
                let bytes = Bytes::Owned(expanded.map_err(|error| match error {
                    ExpandError::TooLarge { needed, limit } => Error::TooLarge { needed, limit },
                    ExpandError::Format(source) => format(source),
                })?);
                Ok(Self { bytes })
            }
            Err(source) => Err(format(source)),
        }
    }

    /// The file's bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get()
    }

    /// The model's content.
    #[must_use]
    pub fn view(&self) -> ModelView<'_> {
        ModelView::assume_checked(self.bytes.get())
    }

    /// The graph's inputs, in order.
    #[cfg(feature = "alloc")]
    pub fn inputs(&self) -> impl ExactSizeIterator<Item = TensorInfo<'_>> {
        let view = self.view();
        view.inputs().enumerate().map(move |(index, value)| {
            TensorInfo::new(value.name, view.input_type(index).ok().as_ref())
        })
    }

    /// The graph's outputs, in order.
    #[cfg(feature = "alloc")]
    pub fn outputs(&self) -> impl Iterator<Item = TensorInfo<'_>> {
        let view = self.view();
        // The last value may leave its type to be inferred; a file may list it often, so that it is walked to once.
        let last = view.walk().filter_map(Result::ok).last().map(|step| step.output);
        view.outputs().map(move |id| {
            let index = usize::from(id);
            let value = match index.checked_sub(view.n_inputs()) {
                None => view.input(index),
                Some(node) => view.node(node).map(|node| node.value()),
            };
            let inferred = last.filter(|last| last.id == id).map(|last| last.ty);
            let ty = inferred.or_else(|| view.stated_type(id));
            TensorInfo::new(value.and_then(|value| value.name), ty.as_ref())
        })
    }

    /// Class names, in the order of the first output's last dimension.
    #[must_use]
    pub fn labels(&self) -> Option<Labels<'_>> {
        self.view().labels()
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Model").field(&self.view()).finish()
    }
}

/// What a caller must know of an input or output.
#[cfg(feature = "alloc")]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TensorInfo<'a> {
    /// Its name, where the file states one.
    pub name: Option<&'a str>,
    /// Dimensions of one image, without the batch.
    pub shape: Shape,
    /// Type of its elements.
    pub dtype: DataType,
    /// Real units a step, of integers; 1 of f32.
    pub scale: f32,
    /// The integer that stands for real 0; 0 of f32.
    pub zero_point: i32,
}

#[cfg(feature = "alloc")]
impl<'a> TensorInfo<'a> {
    /// Elements of one image.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "a file's tensors have at least one element")]
    pub fn len(&self) -> usize {
        self.shape.elements().unwrap_or(0)
    }

    fn new(name: Option<&'a str>, ty: Option<&TensorType>) -> Self {
        // Only bytes that changed under a memory map can leave the type out.
        let empty =
            TensorType { shape: Shape::default(), dtype: DataType::F32, quantization: None };
        let ty = ty.unwrap_or(&empty);
        let QuantParams { scale, zero_point } =
            ty.quantization.unwrap_or(QuantParams { scale: 1.0, zero_point: 0 });
        let shape = Shape::from_dims(ty.shape.dims().iter().skip(1).copied()).unwrap_or_default();
        Self { name, shape, dtype: ty.dtype, scale, zero_point }
    }
}

/// A path as text for an error, in builds with and without `std`.
#[cfg(feature = "alloc")]
trait PathText {
    fn text(&self) -> String;
}

#[cfg(feature = "alloc")]
impl PathText for str {
    fn text(&self) -> String {
        self.into()
    }
}

#[cfg(feature = "std")]
impl PathText for std::path::Path {
    fn text(&self) -> String {
        self.display().to_string()
    }
}

#[cfg(feature = "std")]
#[allow(unsafe_code)]
fn map(file: &std::fs::File) -> std::io::Result<memmap2::Mmap> {
    // SAFETY: the map is private and read-only, and this process never writes to the file. That nobody else does is asked of
    // the caller by `open`; the reader checks every access against the map's length, so that changed content makes errors
    // or wrong results and no access outside the map.
    unsafe { memmap2::Mmap::map(file) }
}
