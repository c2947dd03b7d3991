//! 8-bit images as a model takes them: u8 as they are, i8 shifted, f32 normalized. It reads no files.

use penjing_format::read::Numbers;
use penjing_format::{DataType, ModelView, QuantParams};
use penjing_runtime::Input;

/// Images in the dtype of a model's first input.
#[derive(Clone, Debug)]
pub enum Pixels {
    /// As they are, or requantized to another u8 grid.
    U8(Vec<u8>),
    /// On the input's grid.
    I8(Vec<i8>),
    /// Normalized.
    F32(Vec<f32>),
}

impl Pixels {
    /// Converts images to what the first input of `model` takes. Pixels mean `pixel / 255`, or
    /// `(pixel - mean[c]) / std[c]` for an f32 input whose file says so; integers are that real value on the input's
    /// grid. `channels` is the images' last dimension. `None` for an input dtype that no image can become.
    #[must_use]
    pub fn for_model(model: &ModelView<'_>, images: &[u8], channels: usize) -> Option<Self> {
        let input = model.input_type(0).ok()?;
        let grid = input.quantization.unwrap_or(QuantParams::PIXEL);
        let real = |p: u8| QuantParams::PIXEL.dequantize(i32::from(p));
        match input.dtype {
            DataType::U8 if grid == QuantParams::PIXEL => Some(Self::U8(images.to_vec())),
            DataType::U8 => {
                let table: Vec<u8> = (0..=255).map(|p| grid.quantize_u8(real(p))).collect();
                Some(Self::U8(images.iter().map(|&p| table[usize::from(p)]).collect()))
            }
            DataType::I8 => {
                let table: Vec<i8> = (0..=255).map(|p| grid.quantize_i8(real(p))).collect();
                Some(Self::I8(images.iter().map(|&p| table[usize::from(p)]).collect()))
            }
            DataType::F32 => Some(Self::F32(normalized(model, images, channels))),
            _ => None,
        }
    }

    /// Elements `start..end`, for [`penjing_runtime::Session::run`].
    ///
    /// # Panics
    /// If the range is not inside.
    #[must_use]
    pub fn slice(&self, start: usize, end: usize) -> Input<'_> {
        match self {
            Self::U8(v) => Input::U8(&v[start..end]),
            Self::I8(v) => Input::I8(&v[start..end]),
            Self::F32(v) => Input::F32(&v[start..end]),
        }
    }
}

fn normalized(model: &ModelView<'_>, images: &[u8], channels: usize) -> Vec<f32> {
    let Some(n) = model.normalization() else {
        return images.iter().map(|&p| QuantParams::PIXEL.dequantize(i32::from(p))).collect();
    };
    // one number for all channels, or one a channel: the file was checked
    let of = |values: &Numbers<'_, f32>, c: usize| {
        values.get(c).or_else(|| values.get(0)).unwrap_or(f32::NAN)
    };
    images
        .iter()
        .enumerate()
        .map(|(i, &p)| {
            let c = i % channels.max(1);
            (f32::from(p) - of(&n.mean, c)) / of(&n.std, c)
        })
        .collect()
}
