#ifndef HWYNN_DATA_IDX_H_
#define HWYNN_DATA_IDX_H_

// MNIST's file format IDX: a big-endian header, then bytes; plain or compressed with gzip. data/mnist.h has the data
// sets that come in it.

#include <memory>
#include <string>
#include <vector>

#include "hwynn/core/export.h"
#include "hwynn/data/dataset.h"

namespace HWYNN_EXPORT hwynn {

/// What a data set does otherwise than MNIST.
struct IdxOptions {
  /// The file's images are mirrored along their diagonal, as EMNIST's: they are turned upright.
  bool transposed = false;
  /// The label of the first class.
  int first_label = 0;
};

/// Reads a file of images (magic 0x00000803; count, height, width; a byte a pixel) and one of labels (magic
/// 0x00000801; count; a byte a label) into a data set of shape [height,width,1]. Whether a file is compressed is
/// read from its first bytes, not from its name. Memory follows what the files hold, not what their headers claim.
/// Throws std::runtime_error with path and offset: truncated or wrong header, sizes that overflow, bytes missing or
/// left over, counts that differ, a label that isn't a class.
std::unique_ptr<Dataset> LoadIdx(const std::string& images_path, const std::string& labels_path,
                                 std::vector<std::string> class_names, const IdxOptions& options = {});

}  // namespace hwynn

#endif  // HWYNN_DATA_IDX_H_
