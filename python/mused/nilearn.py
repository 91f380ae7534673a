"""From maskers of nilearn and back to images.

>>> masker = NiftiMasker(mask).fit()
>>> data.add("anna", masker.transform(betas), stimulus=shown, roi=regions(masker, atlas, names))
>>> image = importance(run, masker, regions(masker, atlas, names), label="face")
>>> plotting.plot_glass_brain(image)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ._errors import DataError
from ._run import Run

__all__ = ["image", "importance", "plot_importance", "regions"]


def regions(masker: Any, atlas: Any = None, names: Mapping[int, str] | Sequence[str] | None = None) -> list[str]:
    """The region of each column that a fitted masker makes.

    Of a NiftiLabelsMasker its labels' names. Of a NiftiMasker those of an `atlas` image of whole numbers in the masker's
    space, by `names`: a dict by number, or a list whose first entry is number 1; where the atlas is 0 the region is "none".
    Without an atlas all is one region, "brain".
    """
    named = getattr(masker, "region_names_", None)
    if named is not None:
        return [str(named[column]) for column in sorted(named)] if isinstance(named, Mapping) else [str(n) for n in named]
    width = int(getattr(masker, "n_elements_", 0)) or int(np.asarray(masker.mask_img_.dataobj).astype(bool).sum())
    if atlas is None:
        return ["brain"] * width
    from nilearn.image import resample_to_img
    from nilearn.masking import apply_mask

    placed = resample_to_img(atlas, masker.mask_img_, interpolation="nearest", force_resample=True, copy_header=True)
    numbers = np.rint(apply_mask(placed, masker.mask_img_)).astype(int)
    known = dict(enumerate(names, 1)) if isinstance(names, Sequence) else dict(names or {})
    return ["none" if number == 0 else str(known.get(number, number)) for number in numbers]


def image(values: Any, masker: Any) -> Any:
    """Values of a masker's columns, or rows of them, back in an image."""
    array = np.asarray(values, dtype=float)
    return masker.inverse_transform(array)


def importance(run: Run, masker: Any, roi: Sequence[str], label: str | None = None, fold: int = 0) -> Any:
    """An image of what the AUC loses without each region, of all labels or one: see `Run.regions`.

    `roi` is the region of each of the masker's columns, as the data were added with it.
    """
    lost = run.regions(label, fold)["AUC lost"].astype(float).fillna(0.0)  # where no AUC is defined
    unknown = sorted(set(lost.index) - set(roi))
    if unknown:
        raise DataError(
            f"roi: expected the regions of the run's voxels, {', '.join(lost.index)}, found none of {unknown[0]!r}"
        )
    return image([lost.get(region, 0.0) for region in roi], masker)


def plot_importance(
    run: Run, masker: Any, roi: Sequence[str], label: str | None = None, fold: int = 0, **options: Any
) -> Any:
    """`importance` in a glass brain; options are those of `nilearn.plotting.plot_glass_brain`."""
    from nilearn.plotting import plot_glass_brain

    options = {"title": f"AUC lost without a region{'' if label is None else f': {label}'}", "colorbar": True, **options}
    return plot_glass_brain(importance(run, masker, roi, label, fold), **options)
