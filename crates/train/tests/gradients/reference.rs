//! The layers in plain f64 loops, written from their definitions, and the numbers to try them on. Shares no code with the
//! ops under test.

use penjing_train::ops::Window;

/// A tensor of f64 with its sizes, row-major.
#[derive(Clone, Debug)]
pub(crate) struct Array {
    pub(crate) dims: Vec<usize>,
    pub(crate) data: Vec<f64>,
}

impl Array {
    pub(crate) fn new(dims: &[usize], data: Vec<f64>) -> Self {
        assert_eq!(dims.iter().product::<usize>(), data.len());
        Array { dims: dims.to_vec(), data }
    }

    fn at4(&self, i: [usize; 4]) -> f64 {
        let d = &self.dims;
        self.data[((i[0] * d[1] + i[1]) * d[2] + i[2]) * d[3] + i[3]]
    }

    fn image_at(&self, n: usize, y: isize, x: isize, c: usize) -> Option<f64> {
        let (y, x) = (usize::try_from(y).ok()?, usize::try_from(x).ok()?);
        (y < self.dims[1] && x < self.dims[2]).then(|| self.at4([n, y, x, c]))
    }
}

/// Numbers that f32 holds exactly, from a small generator; reproducible.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 11
    }

    /// Reals in `[-scale, scale)`.
    pub(crate) fn reals(&mut self, dims: &[usize], scale: f64) -> Array {
        let n = dims.iter().product();
        let unit = |x: u64| x as f64 / (1u64 << 52) as f64 - 1.0;
        let data = (0..n).map(|_| f64::from((unit(self.next()) * scale) as f32)).collect();
        Array::new(dims, data)
    }

    /// Whole numbers in `low..=high`.
    pub(crate) fn integers(&mut self, dims: &[usize], low: i64, high: i64) -> Array {
        let n = dims.iter().product();
        let span = (high - low + 1) as u64;
        let data = (0..n).map(|_| (low + (self.next() % span) as i64) as f64).collect();
        Array::new(dims, data)
    }
}

fn out_dim(size: usize, before: usize, after: usize, kernel: usize, stride: usize) -> usize {
    (size + before + after - kernel) / stride + 1
}

/// For every output position and channel, folds the in-image positions under the window.
fn slide(
    x: &Array,
    window: &Window,
    channels: usize,
    mut f: impl FnMut(usize, &[(usize, usize, isize, isize)], usize) -> f64,
) -> Array {
    let ([kh, kw], [sh, sw], [top, bottom, left, right]) =
        (window.kernel, window.stride, window.padding);
    let oh = out_dim(x.dims[1], top, bottom, kh, sh);
    let ow = out_dim(x.dims[2], left, right, kw, sw);
    let mut data = Vec::new();
    for n in 0..x.dims[0] {
        for oy in 0..oh {
            for ox in 0..ow {
                let mut under = Vec::new();
                for ky in 0..kh {
                    for kx in 0..kw {
                        let iy = (oy * sh + ky) as isize - top as isize;
                        let ix = (ox * sw + kx) as isize - left as isize;
                        under.push((ky, kx, iy, ix));
                    }
                }
                for c in 0..channels {
                    data.push(f(n, &under, c));
                }
            }
        }
    }
    Array::new(&[x.dims[0], oh, ow, channels], data)
}

pub(crate) fn conv2d(x: &Array, w: &Array, b: &Array, window: &Window) -> Array {
    slide(x, window, w.dims[0], |n, under, o| {
        let mut sum = b.data[o];
        for &(ky, kx, iy, ix) in under {
            for c in 0..x.dims[3] {
                sum += x.image_at(n, iy, ix, c).unwrap_or(0.0) * w.at4([o, ky, kx, c]);
            }
        }
        sum
    })
}

pub(crate) fn relu(x: &Array) -> Array {
    Array::new(&x.dims, x.data.iter().map(|&v| v.max(0.0)).collect())
}

pub(crate) fn max_pool2d(x: &Array, window: &Window) -> Array {
    slide(x, window, x.dims[3], |n, under, c| {
        let inside = under.iter().filter_map(|&(_, _, iy, ix)| x.image_at(n, iy, ix, c));
        inside.fold(f64::NEG_INFINITY, f64::max)
    })
}

pub(crate) fn linear(x: &Array, w: &Array, b: &Array) -> Array {
    let (n, out, k) = (x.dims[0], w.dims[0], w.dims[1]);
    let mut data = Vec::new();
    for row in 0..n {
        for o in 0..out {
            let dot: f64 = (0..k).map(|i| x.data[row * k + i] * w.data[o * k + i]).sum();
            data.push(dot + b.data[o]);
        }
    }
    Array::new(&[n, out], data)
}

pub(crate) fn cross_entropy(logits: &Array, labels: &[u32]) -> Array {
    let (n, classes) = (logits.dims[0], logits.dims[1]);
    let mut loss = 0.0;
    for (row, &label) in logits.data.chunks(classes).zip(labels) {
        let top = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = row.iter().map(|l| (l - top).exp()).sum();
        loss += sum.ln() + top - row[label as usize];
    }
    Array::new(&[], vec![loss / n as f64])
}
