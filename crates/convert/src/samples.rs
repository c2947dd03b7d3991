//! What models are run on: images, tensors or seeded noise, as any model takes them. It reads no files and runs nothing.

use penjing_dataset::Split;
use penjing_format::read::Numbers;
use penjing_format::{DataType, ModelView, QuantParams};

use crate::ConvertError;
use crate::elements::Elements;
use crate::ir::{Graph, Value};

/// Samples, of which each model makes inputs of its own.
#[derive(Clone, Debug)]
pub struct Samples<'d> {
    source: Source<'d>,
    count: usize,
}

#[derive(Clone, Debug)]
enum Source<'d> {
    /// 8-bit images with labels.
    Images(&'d Split),
    /// By graph input: all samples, one after the other, as reals.
    Reals(Vec<Vec<f32>>),
}

impl<'d> Samples<'d> {
    /// The first `count` images of `split`.
    #[must_use]
    pub fn images(split: &'d Split, count: usize) -> Self {
        Self { source: Source::Images(split), count: count.min(split.len()) }
    }

    /// Reals, for each graph input those of `count` samples.
    #[must_use]
    pub fn reals(inputs: Vec<Vec<f32>>, count: usize) -> Self {
        Self { source: Source::Reals(inputs), count }
    }

    /// Noise for the inputs of `model`: every code of an integer input's type equally often, reals of [-1, 1). The same for the
    /// same seed, everywhere.
    #[must_use]
    pub fn noise(model: &ModelView<'_>, count: usize, seed: u64) -> Self {
        let mut noise = Noise(seed);
        let inputs = (0..model.n_inputs()).map(|index| {
            let Ok(ty) = model.input_type(index) else { return Vec::new() };
            let len = count * ty.shape.elements().unwrap_or(0);
            match ty.dtype.integer_range().zip(ty.quantization) {
                Some(((min, _), grid)) => {
                    (0..len).map(|_| grid.dequantize(min + i32::from(noise.byte()))).collect()
                }
                None => (0..len).map(|_| noise.unit()).collect(),
            }
        });
        Self { source: Source::Reals(inputs.collect()), count }
    }

    /// The first `count` of them, all if there are fewer.
    #[must_use]
    pub fn first(&self, count: usize) -> Self {
        let first = count.min(self.count);
        let source = match &self.source {
            Source::Images(split) => Source::Images(split),
            Source::Reals(inputs) => {
                let cut =
                    |reals: &Vec<f32>| reals[..reals.len() / self.count.max(1) * first].to_vec();
                Source::Reals(inputs.iter().map(cut).collect())
            }
        };
        Self { source, count: first }
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The class of each, where that is known.
    #[must_use]
    pub fn labels(&self) -> Option<&[u8]> {
        match &self.source {
            Source::Images(split) => Some(&split.labels()[..self.count]),
            Source::Reals(_) => None,
        }
    }

    /// What the images are of, if images are what the samples are.
    #[must_use]
    pub fn split(&self) -> Option<&'d Split> {
        match self.source {
            Source::Images(split) => Some(split),
            Source::Reals(_) => None,
        }
    }

    /// For each input of `model`, all samples in its type.
    ///
    /// # Errors
    /// Images for a model that does not take one image, of that shape; samples that are not as many elements as its inputs.
    pub fn for_model(&self, model: &ModelView<'_>) -> Result<Vec<Elements>, ConvertError> {
        match &self.source {
            Source::Images(split) => self.pixels(model, split).map(|pixels| vec![pixels]),
            Source::Reals(inputs) => {
                if inputs.len() != model.n_inputs() {
                    let (expected, found) = (model.n_inputs(), inputs.len());
                    return Err(ConvertError::Inputs { expected, found });
                }
                let types = (0..model.n_inputs()).map(|index| model.input_type(index));
                let inputs = inputs.iter().zip(types).enumerate();
                inputs
                    .map(|(index, (reals, ty))| {
                        let ty = ty.map_err(format_error)?;
                        let len = ty.shape.elements().unwrap_or(0);
                        if self.count.checked_mul(len) != Some(reals.len()) {
                            let found = reals.len() / self.count.max(1);
                            return Err(ConvertError::Sample {
                                input: index,
                                expected: len,
                                found,
                            });
                        }
                        let grid = ty.quantization.unwrap_or(QuantParams::PIXEL);
                        let shape = || ty.shape.dims().iter().skip(1).copied().collect();
                        Elements::from_reals(reals, ty.dtype, grid).ok_or_else(|| {
                            ConvertError::NoImages { shape: shape(), dtype: ty.dtype }
                        })
                    })
                    .collect()
            }
        }
    }

    /// For each input of `graph`, all samples as reals: images as `pixel / 255`.
    ///
    /// # Errors
    /// As [`Self::for_model`].
    pub fn for_graph(&self, graph: &Graph) -> Result<Vec<Vec<f32>>, ConvertError> {
        let expected = graph.inputs.len();
        let dims = |value: &Value| -> Vec<usize> {
            value.shape.dims().iter().skip(1).map(|&d| d as usize).collect()
        };
        match &self.source {
            Source::Images(split) => {
                let [input] = &graph.inputs[..] else {
                    return Err(ConvertError::Inputs { expected, found: 1 });
                };
                let (expected, image) = (dims(input), split.shape());
                if !same_image(&expected, image) {
                    return Err(ConvertError::ImageShape { expected, found: image.to_vec() });
                }
                let images = &split.images()[..self.count * image.iter().product::<usize>()];
                let real = |&p: &u8| QuantParams::PIXEL.dequantize(i32::from(p));
                Ok(vec![images.iter().map(real).collect()])
            }
            Source::Reals(inputs) => {
                if inputs.len() != expected {
                    return Err(ConvertError::Inputs { expected, found: inputs.len() });
                }
                for (input, (reals, value)) in inputs.iter().zip(&graph.inputs).enumerate() {
                    let expected = dims(value).iter().product::<usize>();
                    if self.count.checked_mul(expected) != Some(reals.len()) {
                        let found = reals.len() / self.count.max(1);
                        return Err(ConvertError::Sample { input, expected, found });
                    }
                }
                Ok(inputs.clone())
            }
        }
    }

    fn pixels(&self, model: &ModelView<'_>, split: &Split) -> Result<Elements, ConvertError> {
        if model.n_inputs() != 1 {
            return Err(ConvertError::Inputs { expected: model.n_inputs(), found: 1 });
        }
        let input = model.input_type(0).map_err(format_error)?;
        let image = split.shape();
        let dims: Vec<usize> = input.shape.dims().iter().skip(1).map(|&d| d as usize).collect();
        if !same_image(&dims, image) {
            return Err(ConvertError::ImageShape { expected: dims, found: image.to_vec() });
        }
        let images = &split.images()[..self.count * image.iter().product::<usize>()];
        let grid = input.quantization.unwrap_or(QuantParams::PIXEL);
        let real = |p: u8| QuantParams::PIXEL.dequantize(i32::from(p));
        match input.dtype {
            DataType::U8 if grid == QuantParams::PIXEL => Ok(Elements::U8(images.to_vec())),
            DataType::U8 => {
                let table: Vec<u8> = (0..=255).map(|p| grid.quantize_u8(real(p))).collect();
                Ok(Elements::U8(images.iter().map(|&p| table[usize::from(p)]).collect()))
            }
            DataType::I8 => {
                let table: Vec<i8> = (0..=255).map(|p| grid.quantize_i8(real(p))).collect();
                Ok(Elements::I8(images.iter().map(|&p| table[usize::from(p)]).collect()))
            }
            DataType::F32 => Ok(Elements::F32(normalized(model, images, image[2]))),
            dtype => {
                let shape = input.shape.dims().to_vec();
                Err(ConvertError::NoImages { shape, dtype })
            }
        }
    }
}

/// Whether a sample of shape `dims` is an image of that shape; of one channel, the channel's dimension may be left out.
#[must_use]
pub fn same_image(dims: &[usize], image: [usize; 3]) -> bool {
    dims == image || (image[2] == 1 && dims == &image[..2])
}

fn format_error(source: penjing_format::Error) -> ConvertError {
    penjing_runtime::Error::Format { path: None, source: Box::new(source) }.into()
}

/// Pixels mean `pixel / 255`, or `(pixel - mean[c]) / std[c]` where the file says so.
fn normalized(model: &ModelView<'_>, images: &[u8], channels: usize) -> Vec<f32> {
    let Some(n) = model.normalization() else {
        return images.iter().map(|&p| QuantParams::PIXEL.dequantize(i32::from(p))).collect();
    };
    // one number for all channels, or one a channel: the file was checked
    let of = |values: &Numbers<'_, f32>, c: usize| {
        values.get(c).or_else(|| values.get(0)).unwrap_or(f32::NAN)
    };
    let real = |(i, &p): (usize, &u8)| {
        let c = i % channels.max(1);
        (f32::from(p) - of(&n.mean, c)) / of(&n.std, c)
    };
    images.iter().enumerate().map(real).collect()
}

/// SplitMix64 (Steele, Lea, Flood 2014): enough for noise.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn byte(&mut self) -> u8 {
        (self.next() >> 56) as u8
    }

    /// In [-1, 1), a multiple of 2^-23.
    fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_repeats_and_covers_its_range() {
        let draw = |seed| {
            let mut noise = Noise(seed);
            (0..4000).map(|_| noise.unit()).collect::<Vec<_>>()
        };
        let reals = draw(7);
        assert_eq!(reals, draw(7));
        assert_ne!(reals, draw(8));
        assert!(reals.iter().all(|x| (-1.0..1.0).contains(x)));
        let mean = reals.iter().sum::<f32>() / 4000.0;
        assert!(mean.abs() < 0.05, "{mean}");
        let mut seen = [false; 256];
        let mut noise = Noise(0);
        (0..10_000).for_each(|_| seen[usize::from(noise.byte())] = true);
        assert!(seen.iter().all(|&s| s));
    }

    #[test]
    fn an_image_of_one_channel_may_leave_it_out() {
        assert!(same_image(&[28, 28], [28, 28, 1]) && same_image(&[28, 28, 1], [28, 28, 1]));
        assert!(!same_image(&[28, 28], [28, 28, 3]) && !same_image(&[784], [28, 28, 1]));
    }
}
