//! From u8 pixels to a batch of f32 images, shifted at random where asked. It decides no order: `fit` does.

use candle_core::{Device, Result, Tensor};
use penjing_dataset::SplitView;
use penjing_quant::QuantParams;

use crate::random::{Purpose, Stream};

/// Pixels `[N, H, W, C]` to reals in `[0, 1]`: what the converter's u8 input stands for.
pub(crate) fn images(pixels: &[u8], count: usize, shape: [usize; 3]) -> Result<Tensor> {
    let values = pixels.iter().map(|&p| real(p)).collect();
    Tensor::from_vec(values, (count, shape[0], shape[1], shape[2]), &Device::Cpu)
}

/// The samples at `indices` and their labels (u32 `[N]`).
///
/// With `shift > 0` each image moves by up to that many pixels in both directions, zeros coming in from the edge; the
/// draws depend on `(seed, stage, step)` alone.
pub(crate) fn gather(
    data: SplitView<'_>,
    indices: &[u32],
    shift: usize,
    mut draws: impl FnMut() -> Stream,
) -> Result<(Tensor, Tensor)> {
    let [h, w, c] = data.shape();
    let size = h * w * c;
    let mut stream = (shift > 0).then(&mut draws);
    let mut pixels = vec![0.0_f32; indices.len() * size];
    for (&index, out) in indices.iter().zip(pixels.chunks_exact_mut(size)) {
        let image = data.image(index as usize);
        match &mut stream {
            None => out.iter_mut().zip(image).for_each(|(o, &p)| *o = real(p)),
            Some(stream) => {
                let mut draw = || stream.below(2 * shift as u64 + 1) as isize - shift as isize;
                let (down, right) = (draw(), draw());
                shifted(image, [h, w, c], down, right, out);
            }
        }
    }
    let images = Tensor::from_vec(pixels, (indices.len(), h, w, c), &Device::Cpu)?;
    let labels: Vec<u32> = indices.iter().map(|&i| u32::from(data.labels()[i as usize])).collect();
    Ok((images, Tensor::from_vec(labels, indices.len(), &Device::Cpu)?))
}

fn real(pixel: u8) -> f32 {
    QuantParams::PIXEL.dequantize(i32::from(pixel))
}

/// Writes the image moved `down` and `right` into `out`, which holds zeros.
fn shifted(image: &[u8], [h, w, c]: [usize; 3], down: isize, right: isize, out: &mut [f32]) {
    let columns = w.saturating_sub(right.unsigned_abs());
    let (from, to) = ((-right).max(0) as usize, right.max(0) as usize);
    for y in 0..h {
        let Some(source) = y.checked_add_signed(-down).filter(|&s| s < h) else { continue };
        if columns > 0 {
            let row = &image[(source * w + from) * c..][..columns * c];
            let target = &mut out[(y * w + to) * c..][..columns * c];
            target.iter_mut().zip(row).for_each(|(o, &p)| *o = real(p));
        }
    }
}

/// The stream of a step's shifts.
pub(crate) fn shift_stream(seed: u64, stage: u8, step: usize) -> Stream {
    Stream::new(seed, stage, Purpose::Shift, step as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shift_moves_every_channel_and_brings_zeros_in() {
        let [h, w, c] = [3, 4, 2];
        let image: Vec<u8> = (1..=24).collect();
        for down in -4..=4_isize {
            for right in -5..=5_isize {
                let mut out = vec![0.0; 24];
                shifted(&image, [h, w, c], down, right, &mut out);
                for y in 0..h as isize {
                    for x in 0..w as isize {
                        for k in 0..c {
                            let (sy, sx) = (y - down, x - right);
                            let inside =
                                (0..h as isize).contains(&sy) && (0..w as isize).contains(&sx);
                            let want = if inside {
                                real(image[(sy as usize * w + sx as usize) * c + k])
                            } else {
                                0.0
                            };
                            assert_eq!(out[(y as usize * w + x as usize) * c + k], want);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_batch_holds_the_chosen_samples_as_fractions_of_255() {
        let split = penjing_dataset::Split::from_memory(
            "made up",
            vec![0, 255, 51, 102, 1, 2],
            vec![4, 5, 6],
            [1, 2, 1],
        )
        .unwrap();
        let (x, y) = gather(split.view(), &[2, 0], 0, || unreachable!("no shift")).unwrap();
        assert_eq!(x.dims(), [2, 1, 2, 1]);
        let x = x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(x, [1.0 / 255.0, 2.0 / 255.0, 0.0, 1.0]);
        assert_eq!(y.to_vec1::<u32>().unwrap(), [6, 4]);
    }
}
