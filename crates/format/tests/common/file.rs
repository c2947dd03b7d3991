//! Files to damage: what a flatbuffer needs to be a file, and the few steps that finding one of its bytes takes. Not a test
//! itself.

use flatbuffers::{FlatBufferBuilder, WIPOffset};
use penjing_format::write::generated::penjing as flatc;
use penjing_format::write::{Model, PackingChoice, WriteError};
use penjing_format::{Error, ModelView, PackingError, hash};

/// Field ids of schemas/model.fbs.
pub(crate) mod id {
    pub(crate) const MODEL_NODES: usize = 0;
    pub(crate) const MODEL_INPUTS: usize = 1;
    pub(crate) const INPUT_DTYPE: usize = 2;
    pub(crate) const OP: usize = 0;
    pub(crate) const WEIGHTS: usize = 3;
    pub(crate) const BIAS: usize = 4;
    pub(crate) const ACTIVATION: usize = 6;
    pub(crate) const DTYPE: usize = 8;
    /// Of weights.
    pub(crate) const VALUES: usize = 0;
    pub(crate) const PACKING: usize = 3;
    pub(crate) const INDEX: usize = 4;
}

/// The file of a finished flatbuffer: eight bytes of hash after the identifier. Written apart from the writer's own.
pub(crate) fn with_hash(flatbuffer: &[u8]) -> Vec<u8> {
    let root = u32::from_le_bytes(flatbuffer[..4].try_into().unwrap()) + 8;
    let file = [&root.to_le_bytes(), &flatbuffer[4..8], &[0; 8], &flatbuffer[8..]].concat();
    stamped(file)
}

/// The file of a model that flatc's code builds.
pub(crate) fn finish(
    fbb: &mut FlatBufferBuilder<'static>,
    args: &flatc::ModelArgs<'static>,
) -> Vec<u8> {
    let model: WIPOffset<flatc::Model<'_>> = flatc::Model::create(fbb, args);
    flatc::finish_model_buffer(fbb, model);
    with_hash(fbb.finished_data())
}

/// The bytes with the hash that they have now, so that a reader sees more than that they were changed.
pub(crate) fn stamped(mut file: Vec<u8>) -> Vec<u8> {
    hash::stamp(&mut file);
    file
}

/// The file with one bit flipped, and its hash.
pub(crate) fn flipped(file: &[u8], bit: usize) -> Vec<u8> {
    let mut flipped = file.to_vec();
    flipped[bit / 8] ^= 1 << (bit % 8);
    stamped(flipped)
}

/// A model's file in every packing that it can have.
pub(crate) fn in_every_packing(model: &Model, name: &str) -> Vec<(Vec<u8>, String)> {
    let file = |choice: PackingChoice| match model.to_bytes(choice) {
        Ok(bytes) => Some((bytes, format!("{name} {}", choice.name()))),
        Err(WriteError::Packing { .. }) => None,
        Err(error) => panic!("{name} {}: {error}", choice.name()),
    };
    PackingChoice::IN_PLACE.into_iter().filter_map(file).collect()
}

/// A valid file to damage.
#[derive(Clone)]
pub(crate) struct File(pub(crate) Vec<u8>);

impl File {
    pub(crate) fn new(model: &Model, packing: PackingChoice) -> Self {
        Self(model.to_bytes(packing).unwrap())
    }

    pub(crate) fn u32(&self, at: usize) -> usize {
        u32::from_le_bytes(self.0[at..at + 4].try_into().unwrap()) as usize
    }

    fn follow(&self, at: usize) -> usize {
        at + self.u32(at)
    }

    /// Where a field lies, which must be there.
    pub(crate) fn field(&self, table: usize, id: usize) -> usize {
        let u16 = |at: usize| usize::from(u16::from_le_bytes([self.0[at], self.0[at + 1]]));
        let back = self.u32(table) as u32 as i32;
        let vtable = table.checked_add_signed(-back as isize).unwrap();
        let slot = 4 + 2 * id;
        assert!(slot < u16(vtable) && u16(vtable + slot) != 0, "field {id} is there");
        table + u16(vtable + slot)
    }

    fn child(&self, table: usize, id: usize) -> usize {
        self.follow(self.field(table, id))
    }

    fn item(&self, vector: usize, index: usize) -> usize {
        self.follow(self.child(self.follow(0), vector) + 4 + 4 * index)
    }

    pub(crate) fn node(&self, index: usize) -> usize {
        self.item(id::MODEL_NODES, index)
    }

    pub(crate) fn input(&self, index: usize) -> usize {
        self.item(id::MODEL_INPUTS, index)
    }

    pub(crate) fn weights(&self, node: usize) -> usize {
        self.child(self.node(node), id::WEIGHTS)
    }

    /// The first byte of a vector of a table; its length lies 4 bytes before.
    pub(crate) fn vector(&self, table: usize, id: usize) -> usize {
        self.child(table, id) + 4
    }

    pub(crate) fn with(&self, at: usize, bytes: &[u8]) -> Self {
        let mut file = self.clone();
        file.0[at..at + bytes.len()].copy_from_slice(bytes);
        hash::stamp(&mut file.0);
        file
    }

    /// Why `open` refuses a file whose layout is sound.
    pub(crate) fn refusal(&self) -> Error {
        assert!(ModelView::open_structure(&self.0).is_ok(), "the layout is sound");
        ModelView::open(&self.0).unwrap_err()
    }

    pub(crate) fn packing_error(&self, field: &str) -> PackingError {
        let error = self.refusal();
        let Error::Packing { source, place } = error else { panic!("{error:?}") };
        assert_eq!(place.field, field, "{error}");
        assert!(std::error::Error::source(&error).is_some(), "{error}");
        source
    }
}
