//! x86-64: the vectors of SSE2, AVX2 and AVX-512, and the entry functions. Kernels are in `kernels`.

/// Whether the processor has these features; without `std` what the build was told.
macro_rules! has {
    ($($feature:tt),*) => {
        $({
            #[cfg(feature = "std")]
            let has = std::is_x86_feature_detected!($feature);
            #[cfg(not(feature = "std"))]
            let has = cfg!(target_feature = $feature);
            has
        })&&*
    };
}

pub(super) mod avx2;
pub(super) mod avx512;
pub(super) mod sse2;
