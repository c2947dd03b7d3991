//! TFLite's sparse tensors as dense ones. Such a tensor is a tree: a level a dimension, in `traversal_order`, the tensor's own
//! first and then those of a block; each level states all its indices (DENSE) or lists them in segments, one a parent
//! (SPARSE_CSR). The leaves, from left to right, are the stored elements.

use flatbuffers::Vector;

use super::error::list;
use super::generated as fb;

/// What was expected and what was found.
type Wrong = (String, String);

/// Bytes of a dense tensor for each byte that states it, at most.
const GROWTH: usize = 64;

/// Levels at most: tensors have 8 dimensions, blocks no more.
const MAX_LEVELS: usize = 16;

/// Elements of `size` bytes, row-major; `stored` holds those of the leaves.
pub(super) fn densify(
    sparsity: fb::SparsityParameters<'_>,
    dims: &[u32],
    size: usize,
    stored: &[u8],
) -> Result<Vec<u8>, Wrong> {
    let tree = Tree::read(sparsity, dims)?;
    let bytes = dims.iter().map(|&dim| dim as usize).product::<usize>() * size;
    let stating = tree.levels.iter().map(Level::len).sum::<usize>() + stored.len();
    if bytes > GROWTH * stating + (1 << 16) {
        let expected = format!("at most {GROWTH} bytes for each of the {stating} that state it");
        return Err((expected, format!("{bytes} bytes")));
    }
    let leaves = stored.chunks_exact(size);
    if leaves.len() != tree.leaves || !leaves.remainder().is_empty() {
        let expected = format!("{} elements of {size} bytes", tree.leaves);
        return Err((expected, format!("{} bytes", stored.len())));
    }
    let mut dense = vec![0; bytes];
    let mut walk = Walk { tree: &tree, size, stored, dense: &mut dense };
    walk.descend(0, 0, 0)?;
    Ok(dense)
}

/// A level's indices.
enum Level<'a> {
    Dense(usize),
    Csr { segments: Indices<'a>, indices: Indices<'a> },
}

/// A vector of any of the three widths.
enum Indices<'a> {
    I32(Vector<'a, i32>),
    U16(Vector<'a, u16>),
    U8(Vector<'a, u8>),
}

struct Tree<'a> {
    levels: Vec<Level<'a>>,
    /// What one index of each level is worth in the dense tensor's elements.
    strides: Vec<usize>,
    /// Indices of each level.
    sizes: Vec<usize>,
    leaves: usize,
}

impl<'a> Tree<'a> {
    fn read(sparsity: fb::SparsityParameters<'a>, dims: &[u32]) -> Result<Self, Wrong> {
        let rank = dims.len();
        let order = sparsity.traversal_order().unwrap_or_default();
        let blocks = sparsity.block_map().unwrap_or_default();
        let metadata = sparsity.dim_metadata().unwrap_or_default();
        let n = rank + blocks.len();
        if n > MAX_LEVELS || order.len() != n || metadata.len() != n {
            let found = format!("{} of {} levels", order.len(), metadata.len());
            return Err((format!("an order of {n} levels, {MAX_LEVELS} at most"), found));
        }
        let order: Vec<usize> = order.iter().map(|d| usize::try_from(d).unwrap_or(n)).collect();
        let mut sorted = order.clone();
        sorted.sort_unstable();
        let own_first = order.iter().take(rank).all(|&d| d < rank);
        if !own_first || sorted.iter().enumerate().any(|(k, &d)| k != d) {
            let expected = format!("the tensor's {rank} dimensions, then the block's, each once");
            return Err((expected, list(&order)));
        }
        // The block's dimensions are always stated in full.
        let mut block = vec![1_usize; rank];
        let mut of_block = Vec::new();
        for (k, dim) in blocks.iter().enumerate() {
            let level = order.iter().position(|&d| d == rank + k).unwrap_or(0);
            let size = usize::try_from(metadata.get(level).dense_size()).unwrap_or(0);
            let dim = usize::try_from(dim).ok().filter(|&d| d < rank && block[d] == 1);
            let Some(dim) = dim.filter(|&d| size > 0 && (dims[d] as usize).is_multiple_of(size))
            else {
                let expected = "a block that divides a dimension of its own";
                return Err((expected.into(), format!("{size} of dimension {dim:?}")));
            };
            block[dim] = size;
            of_block.push(dim);
        }
        Self::levels(metadata, dims, &order, (&block, &of_block))
    }

    fn levels(
        metadata: Vector<'a, flatbuffers::ForwardsUOffset<fb::DimensionMetadata<'a>>>,
        dims: &[u32],
        order: &[usize],
        (block, of_block): (&[usize], &[usize]),
    ) -> Result<Self, Wrong> {
        let rank = dims.len();
        let stride = |dim: usize| dims[dim + 1..].iter().map(|&d| d as usize).product::<usize>();
        let mut tree =
            Self { levels: Vec::new(), strides: Vec::new(), sizes: Vec::new(), leaves: 1 };
        for (level, &dim) in order.iter().enumerate() {
            let (size, step) = match dim.checked_sub(rank) {
                None => (dims[dim] as usize / block[dim], stride(dim) * block[dim]),
                Some(k) => (block[of_block[k]], stride(of_block[k])),
            };
            let (level, nodes) = Level::read(metadata.get(level), size, tree.leaves)?;
            tree.levels.push(level);
            tree.strides.push(step);
            tree.sizes.push(size);
            tree.leaves = nodes;
        }
        Ok(tree)
    }
}

impl<'a> Level<'a> {
    /// The level and its number of nodes; `size` is what its indices are below.
    fn read(
        table: fb::DimensionMetadata<'a>,
        size: usize,
        parents: usize,
    ) -> Result<(Self, usize), Wrong> {
        if table.format() == fb::DimensionType::DENSE {
            if usize::try_from(table.dense_size()) != Ok(size) {
                let expected = format!("a dense level of {size}");
                return Err((expected, table.dense_size().to_string()));
            }
            let nodes = parents.checked_mul(size);
            let nodes = nodes.ok_or_else(|| ("fewer elements".into(), "more than any".into()))?;
            return Ok((Self::Dense(size), nodes));
        }
        if table.format() != fb::DimensionType::SPARSE_CSR {
            let found = format!("format {}", table.format().0);
            return Err(("a level of DENSE or SPARSE_CSR".into(), found));
        }
        let missing = || ("segments and indices of a sparse level".into(), "none".into());
        let segments = Indices::of_segments(table).ok_or_else(missing)?;
        let indices = Indices::of_indices(table).ok_or_else(missing)?;
        let nodes = indices.len();
        let ends = (segments.get(0), segments.get(parents));
        if parents.checked_add(1) != Some(segments.len()) || ends != (Some(0), Some(nodes)) {
            let expected = format!("segments of {parents} parents from 0 to {nodes}");
            return Err((expected, format!("{} bounds", segments.len())));
        }
        Ok((Self::Csr { segments, indices }, nodes))
    }

    /// Numbers that state it.
    fn len(&self) -> usize {
        match self {
            Self::Dense(_) => 0,
            Self::Csr { segments, indices } => segments.len() + indices.len(),
        }
    }
}

impl<'a> Indices<'a> {
    fn of_segments(table: fb::DimensionMetadata<'a>) -> Option<Self> {
        let i32s = table.array_segments_as_int_32_vector().and_then(|v| v.values()).map(Self::I32);
        let u16s = || table.array_segments_as_uint_16_vector()?.values().map(Self::U16);
        let u8s = || table.array_segments_as_uint_8_vector()?.values().map(Self::U8);
        i32s.or_else(u16s).or_else(u8s)
    }

    fn of_indices(table: fb::DimensionMetadata<'a>) -> Option<Self> {
        let i32s = table.array_indices_as_int_32_vector().and_then(|v| v.values()).map(Self::I32);
        let u16s = || table.array_indices_as_uint_16_vector()?.values().map(Self::U16);
        let u8s = || table.array_indices_as_uint_8_vector()?.values().map(Self::U8);
        i32s.or_else(u16s).or_else(u8s)
    }

    fn len(&self) -> usize {
        match self {
            Self::I32(v) => v.len(),
            Self::U16(v) => v.len(),
            Self::U8(v) => v.len(),
        }
    }

    /// `None` behind the end and for negative numbers.
    fn get(&self, at: usize) -> Option<usize> {
        if at >= self.len() {
            return None;
        }
        match self {
            Self::I32(v) => usize::try_from(v.get(at)).ok(),
            Self::U16(v) => Some(usize::from(v.get(at))),
            Self::U8(v) => Some(usize::from(v.get(at))),
        }
    }
}

/// A walk over the tree that sets each leaf's element.
struct Walk<'a> {
    tree: &'a Tree<'a>,
    size: usize,
    stored: &'a [u8],
    dense: &'a mut [u8],
}

impl Walk<'_> {
    /// All below node `node` of the level before `level`, whose elements begin at `offset` of the dense tensor.
    fn descend(&mut self, level: usize, node: usize, offset: usize) -> Result<(), Wrong> {
        let tree = self.tree;
        let Some(this) = tree.levels.get(level) else {
            let (from, to) = (node * self.size, offset * self.size);
            self.dense[to..to + self.size].copy_from_slice(&self.stored[from..from + self.size]);
            return Ok(());
        };
        let stride = tree.strides[level];
        match this {
            Level::Dense(size) => (0..*size).try_for_each(|index| {
                self.descend(level + 1, node * size + index, offset + index * stride)
            }),
            Level::Csr { segments, indices } => {
                let range = (segments.get(node), segments.get(node + 1));
                let (Some(from), Some(to)) = range else {
                    return Err(("segments".into(), format!("{range:?}")));
                };
                if from > to || to > indices.len() {
                    let expected = format!("a segment within {} indices", indices.len());
                    return Err((expected, format!("{from}..{to}")));
                }
                let mut least = 0;
                for at in from..to {
                    let index = indices.get(at);
                    let sound = index.filter(|i| (least..tree.sizes[level]).contains(i));
                    let Some(index) = sound else {
                        let expected = format!("ascending indices below {}", tree.sizes[level]);
                        return Err((expected, format!("{index:?}")));
                    };
                    least = index + 1;
                    self.descend(level + 1, at, offset + index * stride)?;
                }
                Ok(())
            }
        }
    }
}
