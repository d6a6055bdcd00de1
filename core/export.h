#ifndef HWYNN_CORE_EXPORT_H_
#define HWYNN_CORE_EXPORT_H_

// What a shared library shows. hwynn is compiled with hidden visibility; a header at the door of a folder opens its
// namespace as `namespace HWYNN_EXPORT hwynn {`, and what is declared in that block, but for inline functions, is
// exported: functions, and classes with their members, virtual tables and type information. What headers in subfolders
// declare is not. tools/check_layering.py finds a header without it, tests/exports_test.cmake what shows and shouldn't.
#if defined(__GNUC__)
#define HWYNN_EXPORT [[gnu::visibility("default")]]
#else
#define HWYNN_EXPORT
#endif

#endif  // HWYNN_CORE_EXPORT_H_
