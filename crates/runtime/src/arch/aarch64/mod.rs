//! aarch64: the vectors of NEON, without and with dot products, and the entry functions. Kernels are in `kernels`.

/// Whether the processor has these features; without `std` what the build was told.
macro_rules! has {
    ($($feature:tt),*) => {
        $({
            #[cfg(feature = "std")]
            let has = std::arch::is_aarch64_feature_detected!($feature);
            #[cfg(not(feature = "std"))]
            let has = cfg!(target_feature = $feature);
            has
        })&&*
    };
}

pub(super) mod dotprod;
pub(super) mod neon;
