"""The tables of README.md and docs/, from the files in benchmarks/results.

TABLES has a function for each table that a page marks with `<!-- table: NAME -->`. It returns the
rows below the header, as the page shows them. tests/test_pages.py compares the two.
"""

import json
from collections.abc import Callable
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import peers_table

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"

Table = list[list[str]]


def load(name: str) -> Any:
    return json.loads((RESULTS / name).read_text("utf-8"))


KERNEL_CASES = (
    "normal 65,536",
    "normal 16 M",
    "normal 1,024",
    "normal 64",
    "reparameterize (256,128)",
    "reparameterize (1,32)",
    "pack (16,3,64,64)",
)


def peers(name: str) -> Table:
    """Speed of each candidate as a multiple of plain onnxruntime's, for each decoder."""
    return peers_table.tables(load("peers-amd-epyc.json")["rows"])[name]


def readme_speed() -> Table:
    """The throughput of some candidates, a line for each decoder."""
    rows = load("peers-amd-epyc.json")["rows"]
    found = {(row["decoder"], row["candidate"]): row["times_naive"] for row in rows}
    candidates = ("torch.compile", "OpenVINO float32", "edgevae float32", "edgevae int8")
    return [
        [decoder, *(f"{found[decoder, candidate]:.2f}x" for candidate in candidates)]
        for decoder in dict.fromkeys(row["decoder"] for row in rows)
    ]


def instructions_on_arm() -> Table:
    """The instructions of the plain graph, and how many times fewer each other graph needs."""
    counts = {
        (graph["model"], graph["target"], graph["precision"], graph["core"]): (
            graph["instructions"]["all"] / graph["rows"]
        )
        for graph in load("arm-qemu.json")["graphs"]
        if graph["role"] == "decoder"
    }

    def line(model: str) -> list[str]:
        plain = counts[model, "any", "float32", "a72"]
        gains = []
        for target in ("x86_64", "aarch64"):
            gains.append(plain / counts.get((model, target, "float32", "a72"), plain))
        for core in ("a72", "a76"):
            gains.append(counts[model, "any", "float32", core] / counts[model, "any", "int8", core])
        return [model, f"{plain / 1e6:.3g}", *(f"{gain:.2f}x" for gain in gains)]

    return [line(model) for model in dict.fromkeys(model for model, *_ in counts)]


def floor() -> Table:
    """The time of edgevae over that of the best plain loop, by model and verb.

    There is a column for each number of rows, first on one thread and then on all.
    """
    ratios: dict[tuple[str, str], dict[tuple[int, int], str]] = {}
    for entry in load("floor-amd-epyc.json")["entries"]:
        if entry["verb"] in ("decode", "encode", "generate", "score default"):
            shown = f"{entry['ratio']:.2f}" + ("" if entry["passed"] else " !")
            case = entry["threads"], entry["rows"]
            ratios.setdefault((entry["model"], entry["verb"].split()[0]), {})[case] = shown
    columns = [(threads, rows) for threads in (1, 0) for rows in (1, 9, 64, 512)]
    return [[*key, *(by_case.get(case, "") for case in columns)] for key, by_case in ratios.items()]


def kernels_by_case() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for row in load("kernels-amd-epyc.json")["rows"]:
        found.setdefault(row["case"], {})[row["contender"]] = row
    return found


def kernel_ratios() -> Table:
    found = kernels_by_case()
    return [
        [
            case,
            *(
                f"{found[case][kernel][key]:.1f}x"
                for kernel in ("avx512", "avx2", "sse2")
                for key in ("times_numpy", "times_torch")
            ),
        ]
        for case in KERNEL_CASES
    ]


def kernel_nanoseconds() -> Table:
    contenders = ("numpy", "numpy Philox", "torch", "scalar", "sse2", "avx2", "avx512")
    return [
        [case, *(f"{rows[c]['ns_per_number']:.2f}" if c in rows else "" for c in contenders)]
        for case, rows in kernels_by_case().items()
    ]


def fashion() -> Any:
    return load("fashion/report.json")


def judged(judge: str) -> dict[str, Any]:
    return next(found["rows"] for found in fashion()["judges"] if found["name"] == judge)


def denoising() -> Table:
    keys = ("noisy", "pca_wiener", "reconstruct", "denoise_told", "denoise", "denoise_8_bits")
    return [
        [f"{row['sigma']:.1f}", *(f"{row[key]:.2f}" for key in keys)]
        for row in fashion()["denoising"]
    ]


def likelihood_of_fashion() -> Table:
    found = fashion()["likelihood"]

    def cell(key: str, digits: int = 2) -> str:
        return f"{found[key]['mean']:.{digits}f} ± {found[key]['standard_error']:.{digits}f}"

    return [
        ["-ELBO, nats an item", cell("negative_elbo")],
        ["recon, nats an item", cell("recon")],
        ["KL, nats an item", cell("kl")],
        ["-IWAE bound, K = 500, first 500 items", cell("negative_iwae")],
        ["reconstruction, mean PSNR in dB", cell("reconstruction_psnr_db")],
        ["active units", f"{found['active_units']} of {found['latent_dimensions']}"],
    ]


def judges() -> Table:
    return [
        [name, judge["name"], f"{row['frechet']:.3f}"]
        + [f"{row[key]:.3f}" for key in ("precision", "recall", "density", "coverage")]
        for judge in fashion()["judges"]
        for name, row in judge["rows"].items()
    ]


def copies() -> Table:
    found = fashion()["copies"]
    keys = ("least", "1 %", "10 %", "median")
    return [[name, *(f"{found[name][key]:.2f}" for key in keys)] for name in ("test", "generated")]


METHODS = ("recon", "elbo", "mahalanobis", "default", "nap")


def aurocs(by_class: dict[str, dict[str, float]]) -> Table:
    rows = [[label, *(f"{found[key]:.3f}" for key in METHODS)] for label, found in by_class.items()]
    means = [f"{mean(found[key] for found in by_class.values()):.3f}" for key in METHODS]
    return [*rows, ["mean", *means]]


def one_class() -> Table:
    return aurocs({row["class"]: row["auroc"] for row in load("anomalies/report.json")["classes"]})


def one_class_validation() -> Table:
    return aurocs(load("anomalies/report.json")["validation"])


def one_class_published() -> Table:
    report = load("anomalies/report.json")
    ours = [(f"edgevae `{key}`", report["mean_auroc"][key]) for key in METHODS]
    return [[name, f"{value:.3f}"] for name, value in [*report["published"].items(), *ours]]


def flagged() -> Table:
    return [
        [
            row["method"],
            f"{row['items']:,}, {row['normal']}",
            str(row["alpha"]),
            f"{row['rate']:.4f}",
            f"{row['low']:.4f} to {row['high']:.4f}",
            "{:.4f} to {:.4f}".format(*row["expected"]),
        ]
        for row in load("anomalies/report.json")["false_positives"]
    ]


def anomaly_tables() -> Table:
    found = load("anomalies/report.json")["tables"].items()
    ours = [
        [name, table["figure"], f"edgevae `{key}`", f"{mean(values):.3f} ± {stdev(values):.3f}"]
        for name, table in found
        for key, values in table["figures"].items()
    ]
    published = [
        [name, table["figure"], method, f"{value:.3f}"]
        for name, table in found
        for method, value in table["published"].items()
    ]
    return sorted(ours + published, key=lambda row: (row[0] != "thyroid", row[3]))


def nats_by_model() -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for run in load("likelihood/report.json")["runs"]:
        found.setdefault(run["model"], []).append(run)
    return found


def likelihoods() -> Table:
    table = []
    for model, runs in nats_by_model().items():
        nats = [run["nats"]["mean"] for run in runs]
        error = mean(run["nats"]["standard_error"] for run in runs)
        minutes = mean(run["training_seconds"] for run in runs) / 60
        figures = f"{mean(nats):.2f} ± {error:.2f}", f"{stdev(nats):.2f}"
        sizes = len(runs), runs[0]["epochs"], f"{runs[0]['parameters']:,}", f"{minutes:.3g}"
        table.append([model, *figures, *map(str, sizes)])
    return table


def names() -> Table:
    sets = load("names/report.json")["sets"]
    real = sets["held out"]
    return [
        [
            f"{name} ({row['items']:,})",
            *(
                cell
                for key in ("apart", "strict")
                for cell in (f"{row[key]:.3f}", f"{row[key] - real[key]:+.3f}")
            ),
            f"{row['unique']:.1%}",
            f"{row['novel']:.1%}",
        ]
        for name, row in sets.items()
    ]


def classes() -> Table:
    found = load("fashion-cond/classes.json")
    shares = list(found["shares"].values())
    rows = [
        [name, *(f"{100 * share[i]:.1f}" for share in shares)]
        for i, name in enumerate(found["classes"])
    ]
    return [*rows, ["mean", *(f"{100 * mean(share):.1f}" for share in shares)]]


def tiles() -> Table:
    return [
        [
            row["decoder"],
            str(row["tiles"]["receptive"]),
            str(row["tiles"]["overlap"]),
            latent,
            f"{row[latent]['grey_levels']:.3f}",
            *(f"{row[latent][way]['peak_mib']:.0f}" for way in ("tiles", "whole")),
            *(f"{row[latent][way]['seconds']:.1f}" for way in ("tiles", "whole")),
        ]
        for row in load("tiles/tiles.json")
        for latent in ("smooth", "noise")
    ]


def readme_quality() -> Table:
    noisy = next(row for row in fashion()["denoising"] if row["sigma"] == 0.3)
    pooled, auroc = judged("pooled"), load("anomalies/report.json")
    nats = mean(run["nats"]["mean"] for run in nats_by_model()["edgevae"])
    kept, sets = load("names/report.json")["kept"], load("names/report.json")["sets"]
    worse = sets["generated"]["apart"] - sets["held out"]["apart"]
    psnr = fashion()["likelihood"]["reconstruction_psnr_db"]["mean"]
    fid = {name: f"{row['frechet']:.2f}" for name, row in pooled.items()}
    return [
        ["`fashion`: reconstruction, PSNR", f"{psnr:.2f} dB", ""],
        [
            "`fashion`: Frechet distance of generated images (not FID)",
            fid["mixture prior"],
            f"real images {fid['real train images']}, N(0, I) prior {fid['N(0, I)']}",
        ],
        [
            "`fashion`: denoising at sigma 0.3, PSNR",
            f"{noisy['denoise']:.2f} dB",
            f"noisy {noisy['noisy']:.2f}, PCA-Wiener {noisy['pca_wiener']:.2f}",
        ],
        [
            "one-class Fashion-MNIST, mean AUROC",
            f"{auroc['mean_auroc']['nap']:.3f}",
            f"VAE {auroc['published']['VAE']:.3f}, "
            f"Deep SVDD {auroc['published']['Deep SVDD']:.3f}, "
            f"RaPP {auroc['published']['RaPP, NAP']:.3f}",
        ],
        [
            "binarised Fashion-MNIST, -log p(x)",
            f"{nats:.2f} nats",
            "VAE 228.70, VampPrior 227.35, Exemplar VAE 226.75",
        ],
        [
            "`names`: held-out names restored exactly",
            f"{kept['exact']:.1%}",
            f"generated names: {worse:+.3f} nats a character from real ones",
        ],
    ]


TABLES: dict[str, Callable[[], Table]] = {
    "readme speed": readme_speed,
    "readme quality": readme_quality,
    "floor": floor,
    "instructions on ARM": instructions_on_arm,
    "peers": lambda: peers("peers"),
    "peers, one row": lambda: peers("peers, one row"),
    "kernel ratios": kernel_ratios,
    "kernel nanoseconds": kernel_nanoseconds,
    "fashion likelihood": likelihood_of_fashion,
    "denoising": denoising,
    "judges": judges,
    "copies": copies,
    "one class": one_class,
    "one class, validation": one_class_validation,
    "one class, published": one_class_published,
    "flagged": flagged,
    "anomaly tables": anomaly_tables,
    "likelihood": likelihoods,
    "names": names,
    "classes": classes,
    "tiles": tiles,
}
