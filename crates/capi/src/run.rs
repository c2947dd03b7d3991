//! Running: a session's buffers get the model's types and go to the runtime. What a buffer must be is `buffers`', what a
//! session is is `session`'s.

use crate::boundary::{exclusive, guarded};
use crate::buffers::{self, PenjingInput, PenjingOutput};
use crate::failure::Failure;
use crate::session::{Kind, PenjingSession};
use crate::status::PenjingStatus;
use core::ffi::c_void;
use core::ops::Range;
use penjing_runtime::{DataType, Input, Output, Port, RunError};

/// Inputs, and outputs, that a batch has without a heap.
const FEW: usize = 8;

/// Runs a model of one input and one output.
///
/// input: input_bytes bytes, images one after the other, elements of the model's type. output: output_bytes bytes, as many
/// images; it may be uninitialized, and must not overlap the input or the arena. A session in place takes one image a
/// call, another as many as there are. Nothing is allocated, on any thread.
///
/// Ownership: input and output stay the caller's. Threads: one at a time uses a session, any.
/// Errors: NULL_POINTER, LENGTH, ALIGNMENT, OVERLAP, COUNT (use penjing_session_run_many). The output is left as it is then.
/// INTERNAL: a defect of the library; free the session.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn penjing_session_run(
    session: *mut PenjingSession,
    input: *const c_void,
    input_bytes: usize,
    output: *mut c_void,
    output_bytes: usize,
) -> PenjingStatus {
    guarded(|| {
        let inputs = [PenjingInput { data: input, bytes: input_bytes }];
        let outputs = [PenjingOutput { data: output, bytes: output_bytes }];
        // SAFETY: the caller's session, which no other thread uses.
        let session = unsafe { exclusive(session, "session") }?;
        // SAFETY: the caller says that so many bytes lie there.
        unsafe { session.run_few::<1>(&inputs, &outputs) }
    })
}

/// Runs a model of any number of inputs and outputs, each in the model's order; the rest as penjing_session_run.
///
/// Nothing is allocated for up to 8 inputs and 8 outputs; a library without std takes no more.
///
/// Ownership: lists and buffers stay the caller's. Threads: one at a time uses a session, any.
/// Errors: NULL_POINTER, LENGTH, ALIGNMENT, OVERLAP, COUNT, UNSUPPORTED. The outputs are left as they are then.
/// INTERNAL: a defect of the library; free the session.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn penjing_session_run_many(
    session: *mut PenjingSession,
    inputs: *const PenjingInput,
    input_count: usize,
    outputs: *const PenjingOutput,
    output_count: usize,
) -> PenjingStatus {
    guarded(|| {
        // SAFETY: the caller's session, which no other thread uses.
        let session = unsafe { exclusive(session, "session") }?;
        session.count(input_count, output_count)?;
        if inputs.is_null() || outputs.is_null() {
            return Err(Failure::Null("list of inputs or outputs"));
        }
        // SAFETY: not null, and as many as the model has: the caller says that so many lie there.
        let (inputs, outputs) = unsafe {
            (
                core::slice::from_raw_parts(inputs, input_count),
                core::slice::from_raw_parts(outputs, output_count),
            )
        };
        if input_count.max(output_count) > FEW {
            #[cfg(not(feature = "std"))]
            return Err(Failure::Ports);
            // SAFETY: the caller says that so many bytes lie in each buffer.
            #[cfg(feature = "std")]
            return unsafe { session.run_more(inputs, outputs) };
        }
        // SAFETY: the caller says that so many bytes lie in each buffer.
        unsafe { session.run_few::<FEW>(inputs, outputs) }
    })
}

impl PenjingSession {
    /// Refuses any other number of inputs and outputs than the model has.
    fn count(&self, inputs: usize, outputs: usize) -> Result<(), Failure> {
        let [n_inputs, n_outputs] = self.counts.map(usize::from);
        for (of, expected, found) in [("inputs", n_inputs, inputs), ("outputs", n_outputs, outputs)]
        {
            if expected != found {
                return Err(RunError::Count { of, expected, found }.into());
            }
        }
        Ok(())
    }

    /// Runs with at most `N` inputs and `N` outputs, without a heap.
    ///
    /// # Safety
    /// As of [`run_typed`](Self::run_typed).
    unsafe fn run_few<const N: usize>(
        &mut self,
        inputs: &[PenjingInput],
        outputs: &[PenjingOutput],
    ) -> Result<(), Failure> {
        let mut typed_inputs = [Input::U8(&[]); N];
        let mut typed_outputs = core::array::from_fn::<_, N, _>(|_| Output::I8(&mut []));
        let typed_inputs = typed_inputs.get_mut(..inputs.len()).unwrap_or_default();
        let typed_outputs = typed_outputs.get_mut(..outputs.len()).unwrap_or_default();
        // SAFETY: by this function's own condition.
        unsafe { self.run_typed(inputs, outputs, typed_inputs, typed_outputs) }
    }

    /// Runs with more inputs or outputs than [`run_few`](Self::run_few) has room for.
    ///
    /// # Safety
    /// As of [`run_typed`](Self::run_typed).
    #[cfg(feature = "std")]
    unsafe fn run_more(
        &mut self,
        inputs: &[PenjingInput],
        outputs: &[PenjingOutput],
    ) -> Result<(), Failure> {
        let mut typed_inputs = vec![Input::U8(&[]); inputs.len()];
        let mut typed_outputs: Vec<_> = outputs.iter().map(|_| Output::I8(&mut [])).collect();
        // SAFETY: by this function's own condition.
        unsafe { self.run_typed(inputs, outputs, &mut typed_inputs, &mut typed_outputs) }
    }

    /// Checks buffers, gives them the model's types and runs. The types are those that the runtime asks for where it is given
    /// others, before it runs anything: a device need not keep them, nor the code that infers them.
    ///
    /// # Safety
    /// Buffers that are not null are as many bytes as they say, which nobody else uses during the call.
    unsafe fn run_typed<'a>(
        &mut self,
        inputs: &[PenjingInput],
        outputs: &[PenjingOutput],
        typed_inputs: &mut [Input<'a>],
        typed_outputs: &mut [Output<'a>],
    ) -> Result<(), Failure> {
        self.count(inputs.len(), outputs.len())?;
        buffers::sound(inputs, outputs, &self.arena())?;
        for (index, (typed, &buffer)) in typed_inputs.iter_mut().zip(inputs).enumerate() {
            // SAFETY: `sound` has seen the buffer, and the rest is this function's own condition.
            *typed = unsafe { buffers::input(buffer, DataType::U8, index) }?;
        }
        for (index, (typed, &buffer)) in typed_outputs.iter_mut().zip(outputs).enumerate() {
            // SAFETY: `sound` has seen that no other buffer shares its bytes, and the rest is this function's own condition.
            *typed = unsafe { buffers::output(buffer, DataType::I8, index) }?;
        }
        // Each port is refused once at most.
        for _ in 0..=inputs.len() + outputs.len() {
            let Err(refusal) = self.run(typed_inputs, typed_outputs) else { return Ok(()) };
            let RunError::DataType { port, expected, found } = refusal else {
                return Err(refusal.into());
            };
            match port {
                _ if expected == found => return Err(refusal.into()),
                Port::Input(index) => {
                    let place = typed_inputs.get_mut(index).zip(inputs.get(index));
                    let (typed, &buffer) = place.ok_or(refusal)?;
                    // SAFETY: as above.
                    *typed = unsafe { buffers::input(buffer, expected, index) }?;
                }
                Port::Output(index) => {
                    let place = typed_outputs.get_mut(index).zip(outputs.get(index));
                    let (typed, &buffer) = place.ok_or(refusal)?;
                    // SAFETY: as above; the slice of another type is gone.
                    *typed = unsafe { buffers::output(buffer, expected, index) }?;
                }
            }
        }
        // Only bytes that change can ask for one type and then for another.
        Err(RunError::Model.into())
    }

    /// Memory that is the session's while it lives, where the caller lent it.
    fn arena(&self) -> Range<usize> {
        match &self.kind {
            #[cfg(feature = "std")]
            Kind::Heap(_) => 0..0,
            Kind::InPlace(_, arena) => arena.clone(),
        }
    }

    fn run(&mut self, inputs: &[Input<'_>], outputs: &mut [Output<'_>]) -> Result<(), RunError> {
        match &mut self.kind {
            #[cfg(feature = "std")]
            Kind::Heap(session) => session.run_many(inputs, outputs),
            Kind::InPlace(session, _) => session.run_many(inputs, outputs),
        }
    }
}
