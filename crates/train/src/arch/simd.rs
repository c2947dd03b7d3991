//! The vector operations that kernels are written in, and their portable form. Not a general vector library: only what the
//! kernels of this crate use.
//!
//! Methods take the token of an instruction set, which exists only where the machine has that set, so all of them are safe.

/// A token of an instruction set with its vectors of `LANES` f32.
pub(crate) trait Simd: Copy {
    /// Lanes of a vector.
    const LANES: usize;
    /// A vector in registers.
    type V: Copy;
    /// A vector in memory: `[f32; LANES]`.
    type A: Copy + Default + AsRef<[f32]> + AsMut<[f32]>;
    /// One flag a lane.
    type M: Copy;

    /// `slice` as whole vectors; a tail shorter than `LANES` is left out.
    fn chunks(slice: &[f32]) -> &[Self::A];
    /// `slice` as whole vectors, mutable; a tail shorter than `LANES` is left out.
    fn chunks_mut(slice: &mut [f32]) -> &mut [Self::A];

    /// `x` in every lane.
    fn splat(self, x: f32) -> Self::V;
    /// Vector from memory.
    fn load(self, a: &Self::A) -> Self::V;
    /// Vector to memory.
    fn store(self, v: Self::V, a: &mut Self::A);
    /// Bytes `0..LANES` of `bytes` as f32; panics if there are fewer.
    fn load_bytes(self, bytes: &[u8]) -> Self::V;
    /// Lanes (whole numbers in `0..=255`) to bytes `0..LANES`; panics if there are fewer.
    fn store_bytes(self, v: Self::V, bytes: &mut [u8]);
    /// `a + b`.
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a * b + c`, fused where the instruction set does so.
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `a > b`, false for NaN.
    fn greater(self, a: Self::V, b: Self::V) -> Self::M;
    /// `a <= b`, false for NaN.
    fn at_most(self, a: Self::V, b: Self::V) -> Self::M;
    /// `a == b`, false for NaN.
    fn equal(self, a: Self::V, b: Self::V) -> Self::M;
    /// `a` where the flag is set, else `b`.
    fn select(self, m: Self::M, a: Self::V, b: Self::V) -> Self::V;

    /// The first `LANES` values of `slice`; panics if there are fewer.
    #[inline(always)]
    fn load_slice(self, slice: &[f32]) -> Self::V {
        self.load(&Self::chunks(&slice[..Self::LANES])[0])
    }

    /// The first `LANES` values of `slice`, zeros where it is shorter.
    #[inline(always)]
    fn load_part(self, slice: &[f32]) -> Self::V {
        if slice.len() >= Self::LANES {
            return self.load_slice(slice);
        }
        let mut a = Self::A::default();
        a.as_mut()[..slice.len()].copy_from_slice(slice);
        self.load(&a)
    }

    /// Writes the first `LANES` values of `slice`; panics if there are fewer.
    #[inline(always)]
    fn store_slice(self, v: Self::V, slice: &mut [f32]) {
        self.store(v, &mut Self::chunks_mut(&mut slice[..Self::LANES])[0]);
    }

    /// Writes as many lanes as `slice` has, at most `LANES`.
    #[inline(always)]
    fn store_part(self, v: Self::V, slice: &mut [f32]) {
        if slice.len() >= Self::LANES {
            return self.store_slice(v, slice);
        }
        let mut a = Self::A::default();
        self.store(v, &mut a);
        slice.copy_from_slice(&a.as_ref()[..slice.len()]);
    }

    /// Sum of all lanes, pairwise from the halves inwards.
    #[inline(always)]
    fn sum(self, v: Self::V) -> f32 {
        let mut a = Self::A::default();
        self.store(v, &mut a);
        let lanes = a.as_mut();
        let mut half = Self::LANES / 2;
        while half > 0 {
            let (low, high) = lanes.split_at_mut(half);
            for (l, h) in low.iter_mut().zip(high) {
                *l += *h;
            }
            half /= 2;
        }
        lanes[0]
    }
}

/// Four lanes that any target has; multiplication and addition stay two roundings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Portable;

/// `f` lane by lane.
#[inline(always)]
fn zip4<T: Copy, U: Copy + Default>(a: [T; 4], b: [T; 4], f: impl Fn(T, T) -> U) -> [U; 4] {
    [f(a[0], b[0]), f(a[1], b[1]), f(a[2], b[2]), f(a[3], b[3])]
}

impl Simd for Portable {
    const LANES: usize = 4;
    type V = [f32; 4];
    type A = [f32; 4];
    type M = [bool; 4];

    #[inline(always)]
    fn chunks(slice: &[f32]) -> &[[f32; 4]] {
        slice.as_chunks().0
    }
    #[inline(always)]
    fn chunks_mut(slice: &mut [f32]) -> &mut [[f32; 4]] {
        slice.as_chunks_mut().0
    }
    #[inline(always)]
    fn splat(self, x: f32) -> [f32; 4] {
        [x; 4]
    }
    #[inline(always)]
    fn load(self, a: &[f32; 4]) -> [f32; 4] {
        *a
    }
    #[inline(always)]
    fn store(self, v: [f32; 4], a: &mut [f32; 4]) {
        *a = v;
    }
    #[inline(always)]
    fn load_bytes(self, bytes: &[u8]) -> [f32; 4] {
        let b = &bytes[..4];
        [f32::from(b[0]), f32::from(b[1]), f32::from(b[2]), f32::from(b[3])]
    }
    #[inline(always)]
    fn store_bytes(self, v: [f32; 4], bytes: &mut [u8]) {
        bytes[..4].copy_from_slice(&[v[0] as u8, v[1] as u8, v[2] as u8, v[3] as u8]);
    }
    #[inline(always)]
    fn add(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        zip4(a, b, |a, b| a + b)
    }
    #[inline(always)]
    fn mul_add(self, a: [f32; 4], b: [f32; 4], c: [f32; 4]) -> [f32; 4] {
        self.add(zip4(a, b, |a, b| a * b), c)
    }
    #[inline(always)]
    fn greater(self, a: [f32; 4], b: [f32; 4]) -> [bool; 4] {
        zip4(a, b, |a, b| a > b)
    }
    #[inline(always)]
    fn at_most(self, a: [f32; 4], b: [f32; 4]) -> [bool; 4] {
        zip4(a, b, |a, b| a <= b)
    }
    #[inline(always)]
    fn equal(self, a: [f32; 4], b: [f32; 4]) -> [bool; 4] {
        zip4(a, b, |a, b| a == b)
    }
    #[inline(always)]
    fn select(self, m: [bool; 4], a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        let mut out = b;
        for i in 0..4 {
            out[i] = if m[i] { a[i] } else { b[i] };
        }
        out
    }
}
