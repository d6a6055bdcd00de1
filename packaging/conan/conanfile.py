"""hwynn for Conan 2: conan create packaging/conan builds the tree that this recipe stands in."""

import pathlib

from conan import ConanFile
from conan.tools.build import check_min_cppstd
from conan.tools.cmake import CMake, CMakeDeps, CMakeToolchain, cmake_layout
from conan.tools.files import copy

FOLDERS = ["core", "kernels", "module", "layers", "formats", "models", "inference", "data", "images", "training", "cmake"]


class HwynnConan(ConanFile):
    name = "hwynn"
    version = "0.1.0"
    license = "Apache-2.0"
    description = "Vectorised CPU kernels for NHWC convolution and BatchNorm, with layers and models that train"
    topics = "deep-learning", "convolution", "batch-norm", "simd"
    package_type = "library"
    settings = "os", "arch", "compiler", "build_type"
    # system_libraries: Highway, oneTBB, zlib and nlohmann-json are those of the system, not Conan's.
    options = {"shared": [True, False], "images": [True, False], "system_libraries": [True, False]}
    default_options = {"shared": False, "images": False, "system_libraries": False}

    def export_sources(self):
        root = pathlib.Path(self.recipe_folder).parents[1]
        for folder in FOLDERS:
            copy(self, f"{folder}/*", src=root, dst=self.export_sources_folder)
        for name in ("CMakeLists.txt", "LICENSE"):
            copy(self, name, src=root, dst=self.export_sources_folder)

    def requirements(self):
        if not self.options.system_libraries:
            self.requires("highway/[>=1.0.3 <2]")
            self.requires("onetbb/[>=2021.8 <2023]")
            self.requires("zlib/[>=1.2.11 <2]")
            self.requires("nlohmann_json/[>=3.9 <4]", visible=False)
            if self.options.images:
                self.requires("libspng/[>=0.7 <1]")
                self.requires("libjpeg-turbo/[>=2.1 <4]")

    def validate(self):
        check_min_cppstd(self, 20)

    def layout(self):
        cmake_layout(self)

    def generate(self):
        CMakeDeps(self).generate()
        toolchain = CMakeToolchain(self)
        for part in ("APPS", "TESTS", "BENCHMARKS", "EXAMPLES"):
            toolchain.cache_variables[f"HWYNN_BUILD_{part}"] = False
        toolchain.cache_variables["HWYNN_BUILD_IMAGES"] = bool(self.options.images)
        toolchain.cache_variables["HWYNN_INSTALL"] = True
        toolchain.generate()

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def package(self):
        CMake(self).install()
        copy(self, "LICENSE", src=self.source_folder, dst=pathlib.Path(self.package_folder) / "licenses")

    def package_info(self):
        # hwynn's own hwynnConfig.cmake is used, not one that Conan makes.
        self.cpp_info.set_property("cmake_find_mode", "none")
        self.cpp_info.builddirs = ["lib/cmake/hwynn"]
        if self.options.shared:
            self.cpp_info.libs = ["hwynn-training", "hwynn"]
        else:
            self.cpp_info.libs = [f"hwynn_{folder}" for folder in reversed(FOLDERS[:-1]) if folder != "images"]
        if self.options.images:
            self.cpp_info.libs.insert(0, "hwynn-images" if self.options.shared else "hwynn_images")
