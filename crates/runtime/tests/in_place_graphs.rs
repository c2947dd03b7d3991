//! Random graphs in place against sessions that have a heap: values that are read once, often, late or never, that are outputs, that
//! are reshaped, and that no node names. What such a graph would find is a value that was overwritten before its last reader.

mod support;

use penjing_format::write::{
    AveragePool2d, Binary, Concat, Constant, Conv2d, DepthwiseConv2d, FullyConnected, MaxPool2d,
    Model as Spec, Node, Op, Pad, Reshape, Value,
};
use penjing_format::{Activation, ChannelAxis, DataType, Pads, QuantParams, ReshapeTarget, Shape};
use penjing_format::{Padding, infer};
use proptest::prelude::*;
use support::Noise;

/// Elements of a value at most.
const MOST: u32 = 700;

/// What is known of a value.
#[derive(Clone, Debug, PartialEq)]
struct Known {
    dims: Vec<u32>,
    dtype: DataType,
    grid: QuantParams,
}

impl Known {
    fn shape(&self) -> Shape {
        Shape::from_dims([1].into_iter().chain(self.dims.iter().copied())).unwrap()
    }

    fn value(&self) -> Value {
        support::input_value(self.dtype, self.shape(), self.grid)
    }

    fn elements(&self) -> u32 {
        self.dims.iter().product()
    }
}

/// A graph in the making.
struct Graph {
    noise: Noise,
    known: Vec<Known>,
    nodes: Vec<Node>,
}

impl Graph {
    fn new(seed: u64) -> (Self, Vec<Value>) {
        let mut graph = Self { noise: Noise(seed), known: Vec::new(), nodes: Vec::new() };
        for _ in 0..1 + graph.below(3) / 2 {
            let dims = match graph.below(5) {
                0 => vec![graph.from(1, 40)],
                1 => vec![graph.from(1, 7), graph.from(1, 7)],
                _ => vec![graph.from(1, 9), graph.from(1, 9), graph.from(1, 4)],
            };
            let dtype = if graph.below(4) == 0 { DataType::U8 } else { DataType::I8 };
            let grid = graph.grid(dtype);
            graph.known.push(Known { dims, dtype, grid });
        }
        let inputs = graph.known.iter().map(Known::value).collect();
        (graph, inputs)
    }

    fn below(&mut self, end: u32) -> u32 {
        (self.noise.next() >> 33) as u32 % end
    }

    fn from(&mut self, first: u32, last: u32) -> u32 {
        first + self.below(last - first + 1)
    }

    /// One of few, so that values often share one.
    fn grid(&mut self, dtype: DataType) -> QuantParams {
        let [scale, zero_point] = [[5, -8], [30, 11], [2, -128]][self.below(3) as usize];
        let zero_point = if dtype == DataType::U8 { zero_point + 128 } else { zero_point };
        QuantParams { scale: scale as f32 * 0.01, zero_point }
    }

    fn seed(&mut self) -> u64 {
        self.noise.next()
    }

    fn activation(&mut self) -> Activation {
        support::activation(u64::from(self.below(16)))
    }

    /// A value: the last, or any.
    fn pick(&mut self) -> u16 {
        let last = self.known.len() as u32 - 1;
        (if self.below(2) == 0 { last } else { self.below(last + 1) }) as u16
    }

    fn push(&mut self, op: Op, inputs: Vec<u16>, known: Known) {
        self.nodes.push(Node { op, inputs, value: Some(known.value()) });
        self.known.push(known);
    }

    /// One node more, if what was drawn fits.
    fn grow(&mut self) -> Option<()> {
        let id = self.pick();
        let from = self.known[usize::from(id)].clone();
        let shape = from.shape();
        let signed = from.dtype == DataType::I8;
        let codes = from.dtype != DataType::F32;
        let (op, inputs, dims, grid) = match self.below(18) {
            0..=2 if codes => self.conv(id, shape)?,
            3 if codes => self.depthwise(id, shape)?,
            4..=5 if codes && from.dims.len() == 1 => {
                let (out, seed) = (self.from(1, 6), self.seed());
                let weights = support::weights([out, from.dims[0]].into(), false, true, seed);
                let bias = support::bias(out, false, seed >> 3);
                let activation = self.activation();
                let op = Op::FullyConnected(FullyConnected { weights, bias, activation });
                (op, vec![id], vec![out], Some(self.grid(DataType::I8)))
            }
            6..=7 => self.reshape(id, &from)?,
            8..=9 => self.pool(id, shape, signed)?,
            10 if signed && from.dims.len() == 3 => {
                let grid = if self.below(2) == 0 { from.grid } else { self.grid(DataType::I8) };
                (Op::Mean, vec![id], vec![from.dims[2]], Some(grid))
            }
            11..=12 if signed => self.binary(id, &from)?,
            13 => {
                let pairs: Vec<[u32; 2]> =
                    from.dims.iter().map(|_| [self.below(3), self.below(2)]).collect();
                let pads = Pads::from_pairs(pairs.iter().copied()).unwrap();
                let dims = from.dims.iter().zip(&pairs).map(|(dim, [a, b])| dim + a + b);
                let dims = dims.collect();
                (Op::Pad(Pad { pads }), vec![id], dims, None)
            }
            14 => self.concat(id, &from),
            15 if signed => self.function(id, &from),
            16 if codes => {
                let dtype = if self.below(2) == 0 { DataType::U8 } else { DataType::I8 };
                let grid = self.grid(dtype);
                self.push(Op::Quantize, vec![id], Known { dtype, grid, ..from });
                return Some(());
            }
            17 if codes && self.below(3) == 0 => {
                let known = Known { dtype: DataType::F32, ..from };
                self.push(Op::Dequantize, vec![id], known);
                return Some(());
            }
            _ if !codes => {
                let grid = self.grid(DataType::I8);
                let known = Known { dtype: DataType::I8, grid, ..from };
                self.push(Op::Quantize, vec![id], known);
                return Some(());
            }
            _ => return None,
        };
        let handed_on = Known { dims: dims.clone(), ..from };
        let made = |grid| Known { dims, dtype: DataType::I8, grid };
        let known = grid.map_or(handed_on, made);
        if known.elements() > MOST {
            return None;
        }
        self.push(op, inputs, known);
        Some(())
    }

    fn window(&mut self) -> ([u32; 2], Padding) {
        let stride = [self.from(1, 2), self.from(1, 2)];
        let pads = [0; 4].map(|_| self.below(4) / 3);
        (stride, support::padding(pads[0], pads[1], pads[2], pads[3]))
    }

    fn conv(&mut self, id: u16, shape: Shape) -> Option<Drawn> {
        let [_, _, _, channels] = shape.as_4d()?;
        let (out, seed) = (self.from(1, 9), self.seed());
        let (mut stride, mut padding) = self.window();
        let mut kernel = [self.from(1, 3), self.from(1, 3)];
        if self.below(2) == 0 {
            // What has a way of its own under a pool.
            (kernel, stride, padding) = ([3, 3], [1, 1], Padding::default());
        }
        let dilation = [1 + self.below(4) / 3, 1];
        let weights: Shape = [out, kernel[0], kernel[1], channels].into();
        let dims = infer::conv2d(shape, weights, stride, dilation, padding).ok()?;
        let weights = support::weights(weights, false, seed.is_multiple_of(2), seed);
        let bias = support::bias(out, false, seed >> 3);
        let activation = self.activation();
        let op = Op::Conv2d(Conv2d { weights, bias, stride, dilation, padding, activation });
        Some((op, vec![id], dims.dims()[1..].to_vec(), Some(self.grid(DataType::I8))))
    }

    fn depthwise(&mut self, id: u16, shape: Shape) -> Option<Drawn> {
        let [_, _, _, channels] = shape.as_4d()?;
        let (out, seed) = (channels * self.from(1, 2), self.seed());
        let (stride, padding) = self.window();
        let dilation = [1, 1 + self.below(4) / 3];
        let weights: Shape = [1, self.from(1, 3), self.from(1, 3), out].into();
        let dims = infer::depthwise_conv2d(shape, weights, stride, dilation, padding).ok()?;
        let weights = support::weights_along(ChannelAxis::Last, weights, false, false, seed);
        let bias = support::bias(out, false, seed >> 3);
        let activation = self.activation();
        let op = DepthwiseConv2d { weights, bias, stride, dilation, padding, activation };
        let dims = dims.dims()[1..].to_vec();
        Some((Op::DepthwiseConv2d(op), vec![id], dims, Some(self.grid(DataType::I8))))
    }

    fn reshape(&mut self, id: u16, from: &Known) -> Option<Drawn> {
        let elements = from.elements();
        let dims = match self.below(4) {
            0 => {
                let divides = |&by: &u32| elements.is_multiple_of(by);
                let first = [2, 3, 4, 5].into_iter().find(divides)?;
                vec![first, 1, elements / first]
            }
            1 => vec![1, elements],
            _ => vec![elements],
        };
        let target = match dims.len() {
            1 => ReshapeTarget::FLATTEN,
            _ => {
                let open = self.below(2) == 0;
                let stated = dims.iter().map(|&dim| dim as i32);
                let of = |(at, dim): (usize, i32)| if open && at == 1 { -1 } else { dim };
                ReshapeTarget::from_dims([1].into_iter().chain(stated.enumerate().map(of)))?
            }
        };
        Some((Op::Reshape(Reshape { target }), vec![id], dims, None))
    }

    fn pool(&mut self, id: u16, shape: Shape, signed: bool) -> Option<Drawn> {
        let (mut window, (mut stride, mut padding)) =
            ([self.from(1, 3), self.from(1, 3)], self.window());
        if self.below(2) == 0 {
            (window, stride, padding) = ([2, 2], [2, 2], Padding::default());
        }
        let dims = infer::max_pool2d(shape, window, stride, padding).ok()?;
        let op = if signed && self.below(3) == 0 {
            Op::AveragePool2d(AveragePool2d { window, stride, padding })
        } else if self.known[usize::from(id)].dtype == DataType::F32 {
            return None;
        } else {
            Op::MaxPool2d(MaxPool2d { window, stride, padding })
        };
        Some((op, vec![id], dims.dims()[1..].to_vec(), None))
    }

    fn binary(&mut self, id: u16, from: &Known) -> Option<Drawn> {
        let (activation, grid) = (self.activation(), self.grid(DataType::I8));
        let op = if self.below(2) == 0 { Op::Add } else { Op::Mul };
        if self.below(3) == 0 {
            let channels = *from.dims.last()?;
            let elements = [1, channels, from.elements()][self.below(3) as usize];
            let shape = infer::operand(from.shape(), elements).ok()?;
            let weights = support::weights(shape, false, false, self.seed());
            let operand = Some(Constant { scales: vec![0.07], ..weights });
            let binary = Binary { operand, operand_zero_point: -5, activation };
            return Some((op(binary), vec![id], from.dims.clone(), Some(grid)));
        }
        let other = self.pick();
        let second = &self.known[usize::from(other)];
        let shape = infer::add_mul(from.shape(), second.shape()).ok()?;
        let both = second.dtype == DataType::I8;
        let binary = Binary { operand: None, operand_zero_point: 0, activation };
        let dims = shape.dims()[1..].to_vec();
        both.then(|| (op(binary), vec![id, other], dims, Some(grid)))
    }

    fn concat(&mut self, id: u16, from: &Known) -> Drawn {
        let axis = self.below(from.dims.len() as u32) as usize;
        let (mut inputs, mut dims) = (vec![id], from.dims.clone());
        for _ in 0..self.from(1, 3) {
            let other = if self.below(4) == 0 { id } else { self.pick() };
            let second = &self.known[usize::from(other)];
            let mut alike = second.clone();
            if second.dims.len() == dims.len() {
                alike.dims[axis] = from.dims[axis];
            }
            if alike == *from {
                inputs.push(other);
                dims[axis] += second.dims[axis];
            }
        }
        (Op::Concat(Concat { axis: axis as u32 + 1 }), inputs, dims, None)
    }

    fn function(&mut self, id: u16, from: &Known) -> Drawn {
        let op = match self.below(4) {
            0 => Op::Relu(support::activation(2 * u64::from(self.below(4)))),
            1 => Op::Softmax,
            2 => Op::Logistic,
            _ => Op::Tanh,
        };
        (op, vec![id], from.dims.clone(), Some(self.grid(DataType::I8)))
    }

    /// Leaves out of the file what a reader can infer.
    fn leave_out(&mut self, inputs: usize, outputs: &[u16]) {
        let last = self.nodes.len() - 1;
        for index in 0..self.nodes.len() {
            let own = (inputs + index) as u16;
            let readers = self.nodes.iter().enumerate().filter(|(_, n)| n.inputs.contains(&own));
            let mut readers = readers.map(|(reader, _)| reader);
            let only_next = readers.all(|reader| reader == index + 1);
            let named = outputs.contains(&own) && index != last;
            if only_next && !named && self.below(3) > 0 {
                let value = self.nodes[index].value.take();
                self.nodes[index].value = match self.nodes[index].op {
                    Op::Reshape(_) | Op::MaxPool2d(_) | Op::AveragePool2d(_) => None,
                    Op::Pad(_) | Op::Concat(_) | Op::Dequantize => None,
                    _ => value.map(|value| Value { shape: None, ..value }),
                };
            }
        }
        for index in 0..self.nodes.len() {
            let own = (inputs + index) as u16;
            if self.nodes[index].inputs == [own - 1] && self.below(2) == 0 {
                self.nodes[index].inputs.clear();
            }
        }
    }
}

/// An op, its inputs, its value's dimensions, and its grid unless it hands on the input's type.
type Drawn = (Op, Vec<u16>, Vec<u32>, Option<QuantParams>);

fn graph(seed: u64, nodes: u32) -> Spec {
    let (mut graph, inputs) = Graph::new(seed);
    let mut tries = 0;
    while (graph.nodes.len() as u32) < nodes && (tries < 200 || graph.nodes.is_empty()) {
        let _ = graph.grow();
        tries += 1;
    }
    let values = graph.known.len() as u32;
    let outputs: Vec<u16> = match graph.below(3) {
        0 => Vec::new(),
        _ => (0..graph.from(1, 4)).map(|_| graph.pick().min(values as u16 - 1)).collect(),
    };
    graph.leave_out(inputs.len(), &outputs);
    Spec { inputs, nodes: graph.nodes, outputs, ..Spec::default() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn values_stay_as_long_as_they_are_read(nodes in 1..24_u32, seed: u64) {
        let spec = graph(seed, nodes);
        let model = support::model(&spec, support::some_packing(&spec, seed));
        prop_assert!(support::in_place::conforms(&model, seed));
    }
}

/// What is drawn reaches every op, outputs of all kinds, and both ways of stating a value.
#[test]
fn graphs_are_of_all_kinds() {
    let mut reached = std::collections::BTreeSet::new();
    for seed in 0..400 {
        let spec = graph(seed * 7919, 16);
        for (index, node) in spec.nodes.iter().enumerate() {
            let name = format!("{:?}", node.op);
            let end = name.find([' ', '(']).unwrap_or(name.len());
            reached.insert(name[..end].to_string());
            reached.insert(if node.inputs.is_empty() { "left out" } else { "stated" }.into());
            let own = (spec.inputs.len() + index) as u16;
            if spec.outputs.contains(&own) && spec.nodes.iter().any(|n| n.inputs.contains(&own)) {
                reached.insert("an output that is read".into());
            }
            if node.inputs.len() > 1 && node.inputs[0] == node.inputs[1] {
                reached.insert("twice the same".into());
            }
        }
        if spec.outputs.iter().any(|&id| usize::from(id) < spec.inputs.len()) {
            reached.insert("an input that is an output".into());
        }
        reached.insert(format!("{} inputs", spec.inputs.len()));
        reached.insert(format!("{} outputs", spec.outputs.len()));
    }
    assert_eq!(reached.len(), 17 + 5 + 2 + 5, "{reached:?}");
}
