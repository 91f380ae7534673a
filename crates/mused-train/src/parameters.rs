use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use mused_model::DecoderConfig;

use crate::{Error, Result};

/// Values of a module's parameters by name: shape and data.
pub(crate) type NamedTensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// What earlier versions had a region at a time, `rois.N.weight` and `rois.N.embedding`, as `rois.weight` and
/// `rois.embedding`, where they are those of the network; whatever stands before their names.
pub(crate) fn below_one_another(
    mut tensors: NamedTensors,
    network: &DecoderConfig,
) -> NamedTensors {
    let DecoderConfig::Roi(network) = network else {
        return tensors;
    };
    let (lengths, dim) = (network.read_lengths(), network.encoder.dim);
    let begins = tensors
        .keys()
        .filter_map(|name| name.strip_suffix("rois.0.weight"));
    let begins = begins.filter(|begin| begin.is_empty() || begin.ends_with('.'));
    let begins: Vec<String> = begins.map(str::to_owned).collect();
    for begin in begins {
        for (kind, all) in [
            ("weight", lengths.iter().sum()),
            ("embedding", lengths.len()),
        ] {
            let name = |region: usize| format!("{begin}rois.{region}.{kind}");
            let is_own = |(region, length): (usize, &usize)| match tensors.get(&name(region)) {
                Some((shape, _)) if kind == "weight" => *shape == [*length, dim],
                Some((shape, _)) => *shape == [dim],
                None => false,
            };
            let joined = format!("{begin}rois.{kind}");
            if tensors.contains_key(&joined) || !lengths.iter().enumerate().all(is_own) {
                continue;
            }
            let parts = (0..lengths.len()).filter_map(|region| tensors.remove(&name(region)));
            let values = parts.flat_map(|(_, values)| values).collect();
            tensors.insert(joined, (vec![all, dim], values));
        }
    }
    tensors
}

/// The dotted path of the parameter being visited.
#[derive(Default)]
pub(crate) struct NamePath(Vec<String>);

impl NamePath {
    pub(crate) fn enter(&mut self, name: &str) {
        self.0.push(name.to_owned());
    }

    pub(crate) fn exit(&mut self) {
        self.0.pop();
    }

    pub(crate) fn name(&self) -> String {
        self.0.join(".")
    }
}

/// Copies all parameters to the host.
pub(crate) fn collect<B: Backend, M: Module<B>>(module: &M) -> Result<NamedTensors> {
    let mut collector = Collector {
        path: NamePath::default(),
        tensors: Ok(BTreeMap::new()),
    };
    module.visit(&mut collector);
    collector.tensors
}

struct Collector {
    path: NamePath,
    tensors: Result<NamedTensors>,
}

impl<B: Backend> ModuleVisitor<B> for Collector {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        let values = to_host(param.val());
        if let Ok(tensors) = &mut self.tensors {
            match values {
                Ok(values) => {
                    tensors.insert(self.path.name(), (param.dims().to_vec(), values));
                }
                Err(error) => self.tensors = Err(error),
            }
        }
    }
}

/// Copies a tensor to the host.
pub(crate) fn to_host<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Result<Vec<f32>> {
    tensor
        .into_data()
        .into_vec::<f32>()
        .map_err(|error| Error::Request(format!("the device does not give f32 values: {error:?}")))
}

/// Replaces all parameters of a module by values of the same names and shapes.
///
/// # Errors
/// Lists every missing, surplus and mis-shaped name; the module is then not returned.
pub(crate) fn restore<B: Backend, M: Module<B>>(module: M, mut tensors: NamedTensors) -> Result<M> {
    let mut restorer = Restorer {
        path: NamePath::default(),
        tensors: &mut tensors,
        problems: Vec::new(),
    };
    let module = module.map(&mut restorer);
    let mut problems = restorer.problems;
    problems.extend(
        tensors
            .keys()
            .map(|name| format!("{name} is not part of this model")),
    );
    if problems.is_empty() {
        Ok(module)
    } else {
        Err(Error::Request(problems.join("; ")))
    }
}

struct Restorer<'t> {
    path: NamePath,
    tensors: &'t mut NamedTensors,
    problems: Vec<String>,
}

impl<B: Backend> ModuleMapper<B> for Restorer<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let name = self.path.name();
        let expected = param.dims().to_vec();
        match self.tensors.remove(&name) {
            Some((shape, values)) if shape == expected => {
                let (id, tensor, mapper) = param.consume();
                let data = TensorData::new(values, shape);
                let restored = Tensor::<B, D>::from_data(data, &tensor.device());
                let restored = restored.set_require_grad(tensor.is_require_grad());
                Param::from_mapped_value(id, restored, mapper)
            }
            Some((shape, _)) => {
                self.problems.push(format!(
                    "{name}: expected shape {expected:?}, found {shape:?}"
                ));
                param
            }
            None => {
                self.problems.push(format!("{name} is missing"));
                param
            }
        }
    }
}
