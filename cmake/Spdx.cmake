# What is in this build, as an SPDX 2.3 document: share/hwynn/hwynn.spdx.json. Versions are those that were found.

# hwynn_spdx_package(<name> <version> <licence> <where it comes from>): a package of the document's list.
macro(hwynn_spdx_package name version licence location)
  set(found ${version})
  if(NOT found)
    set(found NOASSERTION)
  endif()
  string(APPEND spdx_packages "${spdx_comma}
    { \"name\": \"${name}\", \"SPDXID\": \"SPDXRef-${name}\", \"versionInfo\": \"${found}\", \"downloadLocation\": \"${location}\",
      \"filesAnalyzed\": false, \"licenseConcluded\": \"${licence}\", \"licenseDeclared\": \"${licence}\", \"copyrightText\": \"NOASSERTION\" }")
  if("${name}" STREQUAL "hwynn")
    set(relation "\"spdxElementId\": \"SPDXRef-DOCUMENT\", \"relationshipType\": \"DESCRIBES\"")
  else()
    set(relation "\"spdxElementId\": \"SPDXRef-hwynn\", \"relationshipType\": \"DEPENDS_ON\"")
  endif()
  string(APPEND spdx_relations "${spdx_comma}\n    { ${relation}, \"relatedSpdxElement\": \"SPDXRef-${name}\" }")
  set(spdx_comma ",")
endmacro()

set(spdx_packages "")
set(spdx_relations "")
set(spdx_comma "")
hwynn_spdx_package(hwynn "${PROJECT_VERSION}" Apache-2.0 NOASSERTION)
hwynn_spdx_package(highway "${hwy_VERSION}" "Apache-2.0 OR BSD-3-Clause" "git+https://github.com/google/highway.git")
hwynn_spdx_package(oneTBB "${TBB_VERSION}" Apache-2.0 "git+https://github.com/oneapi-src/oneTBB.git")
hwynn_spdx_package(zlib "${ZLIB_VERSION_STRING}" Zlib "git+https://github.com/madler/zlib.git")
hwynn_spdx_package(nlohmann-json "${nlohmann_json_VERSION}" MIT "git+https://github.com/nlohmann/json.git")  # headers
if(HWYNN_IMAGES)
  pkg_check_modules(LIBJPEG QUIET libjpeg)  # CMake says the version of the interface, 62 or 80
  hwynn_spdx_package(libspng "${SPNG_VERSION}" BSD-2-Clause "git+https://github.com/randy408/libspng.git")
  hwynn_spdx_package(libjpeg-turbo "${LIBJPEG_VERSION}" "IJG AND BSD-3-Clause AND Zlib"
    "git+https://github.com/libjpeg-turbo/libjpeg-turbo.git")
endif()
if(HWYNN_BUILD_APPS)
  hwynn_spdx_package(CLI11 "${CLI11_VERSION}" BSD-3-Clause "git+https://github.com/CLIUtils/CLI11.git")  # headers
endif()
string(SHA1 spdx_hash "${spdx_packages}")
string(TIMESTAMP spdx_created "%Y-%m-%dT%H:%M:%SZ" UTC)
file(CONFIGURE OUTPUT hwynn.spdx.json CONTENT "{
  \"spdxVersion\": \"SPDX-2.3\",
  \"dataLicense\": \"CC0-1.0\",
  \"SPDXID\": \"SPDXRef-DOCUMENT\",
  \"name\": \"hwynn-${PROJECT_VERSION}\",
  \"documentNamespace\": \"https://spdx.org/spdxdocs/hwynn-${PROJECT_VERSION}-${spdx_hash}\",
  \"creationInfo\": { \"created\": \"${spdx_created}\", \"creators\": [\"Tool: hwynn-cmake-${PROJECT_VERSION}\"] },
  \"packages\": [${spdx_packages}
  ],
  \"relationships\": [${spdx_relations}
  ]
}
")
install(FILES ${PROJECT_BINARY_DIR}/hwynn.spdx.json DESTINATION ${CMAKE_INSTALL_DATADIR}/hwynn COMPONENT development)
