//! The runtime by itself: opens an int8 image classifier, runs one black image and prints the scores.

use penjing_runtime::{Model, Session, SessionOptions};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: link_alone MODEL.pnj")?;
    let model = Model::open(path)?;
    let input = model.inputs().next().ok_or("the model has no input")?;
    let output = model.outputs().next().ok_or("the model has no output")?;
    let mut session = Session::new(&model, SessionOptions::default())?;
    let image = vec![0_u8; input.len()];
    let mut scores = vec![0_i8; output.len()];
    session.run(&image, &mut scores)?;
    println!("{scores:?}");
    Ok(())
}
